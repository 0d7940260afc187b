# pipit-import: dot-qmail files of alias/

# The first words of the commands in a dot-qmail file, but what only a shell understands.
commands() {
  sed -n 's/^|[[:blank:]]*\([^[:blank:]]\{1,\}\).*/\1/p' "$1" | grep -v '["$`;&|<>()=\\]' | grep -v "'"
}

have_command() {
  case $1 in
    /var/qmail/bin/* | "$qmail"/bin/*) set -- "${1##*/}" ;;
    /*) [ -x "$1" ]; return ;;
  esac
  [ -x "$home/bin/$1" ] || [ -x "$home/bin/pipit-${1#qmail-}" ] ||
    (PATH=/usr/local/bin:/usr/bin:/bin; command -v "$1" >/dev/null)
}

# tell_commands FILE WHAT
tell_commands() {
  commands "$1" | while IFS= read -r command; do
    have_command "$command" || tell look "$2" "runs $command, which is not here"
  done
}

take_link() {
  target=$(readlink "$qmail/alias/$1")
  if [ "$(readlink "$home/alias/$1")" = "$target" ]; then
    tell same "alias/$1" 'is there already'
  elif [ -L "$home/alias/$1" ] || { [ -e "$home/alias/$1" ] && ! replaceable "alias/$1"; }; then
    tell keep "alias/$1" 'is something else here, and a link in qmail; remove it, and run this again'
  else
    [ -n "$dry" ] || stand_in ln -sfn "$target" "$home/alias/$1" || fail "$home/alias/$1: cannot be made"
    tell take "alias/$1" "a link to $target"
  fi
}

take_dot_qmail() {
  mode=$(stat -c %a "$qmail/alias/$1")
  case $mode in *[2367]) tell note "alias/$1" 'all may write to it, so qmail did not use it; here only its owner may' ;; esac
  take "$qmail/alias/$1" "alias/$1" "$(printf %o $((0$mode & 0755 | 0400)))" copied stand_in
  tell_commands "$qmail/alias/$1" "alias/$1"
}

take_alias() {
  (cd "$qmail/alias" && find . -mindepth 1 -maxdepth 1 | sed 's|^\./||' | sort) >"$tmp/files"
  each "$tmp/files" take_alias_file
}

take_alias_file() {
  path=$qmail/alias/$1
  case $1 in
    .qmail*) if [ -L "$path" ]; then take_link "$1"; elif [ -f "$path" ]; then take_dot_qmail "$1"; fi ;;
    *) [ ! -s "$path" ] || tell look "alias/$1" "mail or a list, not taken; when that qmail has stopped: \
cp -an $path $home/alias/ && chown -R $alias_account: $home/alias/$1" ;;
  esac
}
