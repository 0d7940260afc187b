# pipit-import: users/assign and what belongs to it

# Entries of qmail's alias account get pipit's. What cannot be right goes to <odd>: "look TEXT".
convert_assign() {
  awk -F : -v OFS=: -v olds="$qmail/alias /var/qmail/alias" -v home="$home/alias" -v uid="$alias_uid" -v gid="$alias_gid" \
    -v user="$alias_account" -v separated=$separated -v odd="$tmp/odd" -v homes="$tmp/homes" '
function look(text) { print "look line " NR ": " text >odd }
BEGIN { split(olds, old, " ") }
over { if ($0 != "") look("stands after the line . and does not count"); print; next }
/^\.$/ { over = 1; print; next }
!/^[=+]/ || NF < 8 || $3 !~ /^[0-9]+$/ || $4 !~ /^[0-9]+$/ {
  look("not =local:user:uid:gid:home:dash:ext: or +prefix:...: " $0)
  print; next
}
$2 == "alias" || $5 == old[1] || $5 == old[2] {
  $2 = user; $3 = uid; $4 = gid; $5 = home
  changed++
}
$3 == 0 || $4 == 0 { look($1 " has uid or gid 0: pipit delivers nothing as root") }
!separated && $3 != uid { foreign++ }
{ print $5 >homes; print }
END {
  if (!over) print "look the last line is not the . that must end it" >odd
  if (foreign) print "look " foreign " entries are not of " user ", whose instance this is, and do not count" >odd
  if (changed) print "note entries of the alias account that are now those of " user ": " changed >odd
}' "$qmail/users/assign"
}

tell_odd() {
  tell "${1%% *}" users/assign "${1#* }"
}

tell_homes() {
  [ -e "$tmp/homes" ] || return 0
  sort -u "$tmp/homes" | while IFS= read -r path; do
    [ -d "$path" ] || printf '%s\n' "$path"
  done >"$tmp/nohomes"
  read -r first <"$tmp/nohomes" || return 0
  tell look users/assign "$(grep -c . "$tmp/nohomes") of the homes do not exist, the first is $first"
}

# It is made by pipit-newu where there is one, aside; the old one is as good where nothing was changed.
take_cdb() {
  if [ -z "$dry" ] && ! cmp -s "$tmp/assign" "$home/users/assign"; then
    tell keep users/cdb 'belongs to the users/assign that is here'
  elif [ -x "$home/bin/pipit-newu" ]; then
    mkdir -p "$tmp/home/users" && cp "$tmp/assign" "$tmp/home/users/assign" || fail "$tmp: cannot be written"
    if PIPIT_HOME=$tmp/home "$home/bin/pipit-newu" 2>/dev/null; then
      take "$tmp/home/users/cdb" users/cdb 644 'made by pipit-newu'
    else
      tell look users/cdb 'pipit-newu refuses users/assign: mend it, and run pipit-newu'
    fi
  elif cmp -s "$tmp/assign" "$qmail/users/assign"; then
    take "$qmail/users/cdb" users/cdb 644 copied
  else
    tell look users/cdb 'run qmail-newu: users/assign was changed, and pipit-newu is not here'
  fi
}

take_users() {
  for name in include exclude mailnames subusers append; do
    [ ! -f "$qmail/users/$name" ] || take "$qmail/users/$name" "users/$name" 644 copied
  done
  if [ ! -f "$qmail/users/assign" ]; then
    [ ! -f "$qmail/users/cdb" ] || {
      take "$qmail/users/cdb" users/cdb 644 copied
      tell look users/cdb 'there is no users/assign it is made from: nobody can change it'
    }
    return 0
  fi
  convert_assign >"$tmp/assign"
  take "$tmp/assign" users/assign 644 copied
  [ ! -e "$tmp/odd" ] || each "$tmp/odd" tell_odd
  tell_homes
  if [ ! -f "$qmail/users/cdb" ]; then
    tell look users/assign 'qmail has no users/cdb, so it does not use this; pipit-newu would make it count'
  else
    [ ! "$qmail/users/assign" -nt "$qmail/users/cdb" ] ||
      tell look users/assign 'is newer than users/cdb: qmail may not know all of it'
    take_cdb
  fi
}
