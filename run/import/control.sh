# pipit-import: the control files

# What to say of a file that pipit does not read.
hint() {
  case $1 in
    concurrencyincoming) echo "the limit of a run script; pipit's is control/concurrencysmtpd" ;;
    badrcptto* | badhelo* | badmailfrom?*) echo 'a patch refuses mail by it; pipit does not' ;;
    validrcptto | morevalidrcptto* | goodrcptto* | realrcptto* | recipients | chkuser*)
      echo 'a patch refuses unknown recipients by it; pipit does not' ;;
    spf* | dnsbl* | surbl* | smtpplugins | rbl*) echo 'a patch filters by it; pipit does not' ;;
    qmqpservers) echo 'pipit has no QMQP: an empty domain in control/smtproutes sends all mail to a relay' ;;
    *.pem | tls* | notls* | *ciphers | dh* | rsa*) echo "a TLS patch's; pipit does not read it" ;;
    filterargs | taps | qfilters | simcontrol | srs_* | dkim* | domainkeys* | signaturedomains | nosignaturedomains)
      echo "a filter's; copied for it, pipit does not read it" ;;
    bindroutes | domainips | domainbindings)
      echo 'a patch sends mail by it; pipit has bind= in smtproutes and senderroutes' ;;
    concurrencysuppl* | suppl*) echo 'a patch sends mail by it; pipit does not' ;;
    *) echo 'pipit does not read it; copied for programs that do' ;;
  esac
}

# What a file that both have means here.
difference() {
  case $1 in
    bouncemaxbytes)
      tell look control/$1 'a patch cuts the copy in a bounce to this; pipit sends all of a message, or if it is larger its header' ;;
    defaultdelivery)
      [ "$(grep -c . "$qmail/control/$1")" -le 1 ] ||
        tell look control/$1 'pipit reads only the first line; users who need more have a dot-qmail file'
      ;;
  esac
}

# Routes with user and password become routes with auth=NAME, and lines of smtpcredentials: the passwords
# leave a file that everybody can read. Of authsenders keys that are domains get their @.
split_routes() {
  awk -v secrets="$tmp/secrets" -v senders="$2" '
    function name_of(user, secret, name, n) {
      if ((user, secret) in given) return given[user, secret]
      name = user; gsub(/[^A-Za-z0-9_.@+-]/, "_", name); name = substr(name, 1, 60)
      if (name == "") name = "login"
      if (name in used) { for (n = 2; (name "." n) in used; n++); name = name "." n }
      used[name] = 1
      printf "%s:%s:%s\n", name, user, secret >>secrets
      return given[user, secret] = name
    }
    BEGIN {
      while ((getline line <secrets) > 0) {
        name = user = secret = line
        sub(/:.*/, "", name); sub(/^[^:]*:/, "", user); sub(/:.*/, "", user); sub(/^[^:]*:[^:]*:/, "", secret)
        given[user, secret] = name; used[name] = 1
      }
      close(secrets)
    }
    { sub(/[ \t\r]+$/, ""); colon = index($0, ":") }
    /^#/ || !colon { print; next }
    {
      key = substr($0, 1, colon - 1); value = substr($0, colon + 1)
      if (senders && key == "!@") key = "<>"
      if (senders && key != "" && key !~ /[@<]/ && key !~ /^\./) key = "@" key
      if (n = index(value, "|")) {
        rest = substr(value, n + 1); bar = index(rest, "|")
        user = bar ? substr(rest, 1, bar - 1) : ""; secret = substr(rest, bar + 1)
        server = substr(value, 1, n - 1)
      } else {
        user = ""
        if (split(value, word, /[ \t]+/) == 3 && word[1] != "" && (word[2] word[3]) !~ /=/) { server = word[1]; user = word[2]; secret = word[3] }
      }
      print key ":" (user == "" || secret == "" ? value : server " auth=" name_of(user, secret))
    }' "$1"
}

# A file of routes, as FILE; what was a login in it goes to smtpcredentials.
take_routes() {
  [ -r "$qmail/control/$1" ] || { take "$qmail/control/$1" "control/$2" 644 copied; return 0; }
  split_routes "$qmail/control/$1" "${3:-}" >"$tmp/routes"
  if cmp -s "$qmail/control/$1" "$tmp/routes"; then
    take "$qmail/control/$1" "control/$2" 644 copied
  else
    take "$tmp/routes" "control/$2" 644 "from $1; passwords go to control/smtpcredentials"
  fi
}

take_secrets() {
  [ -s "$tmp/secrets" ] || return 0
  file=$home/control/smtpcredentials
  while IFS= read -r line; do
    [ ! -r "$file" ] || ! grep -Fqx -e "$line" "$file" || continue
    [ -n "$dry" ] || printf '%s\n' "$line" >>"$file" || fail "$file: cannot be written"
    tell take control/smtpcredentials "the login ${line%%:*}"
  done <"$tmp/secrets"
  tell look control/smtpcredentials 'logins are for TLS with a certificate that holds: auth=NAME,clear and encrypt say otherwise'
}

# Known files are for pipit's accounts; others keep owner and mode, for the program that reads them.
take_control_file() {
  [ -f "$qmail/control/$1" ] || return 0 # half of a name with a line break
  case $1 in servercert.pem)
    # A key: nothing may be known to it but its owner.
    tell look control/$1 'certificates and key for TLS; to use them: cp -p them over the one that pipit-setup has made'
    return 0 ;;
  esac
  case $1 in
    smtpcredentials) return 0 ;; # nobody else has that
    smtproutes | senderroutes) take_routes "$1" "$1"; return 0 ;;
    authsenders)
      if [ -e "$qmail/control/senderroutes" ]; then tell look "control/$1" 'is left out: there is a senderroutes'; return 0; fi
      take_routes "$1" senderroutes senders
      echo sender >"$tmp/order"
      take "$tmp/order" control/routeorder 644 'authsenders goes before smtproutes'
      return 0 ;;
  esac
  case $1 in */*) [ -n "$dry" ] || mkdir -p "$home/control/${1%/*}" || fail "$home/control/${1%/*}: cannot be made" ;; esac
  if printf '%s\n' "$known" | grep -Fqx "$1"; then
    take "$qmail/control/$1" "control/$1" 644 copied
    difference "$1"
  else
    mode=$(stat -L -c %a "$qmail/control/$1")
    take "$qmail/control/$1" "control/$1" "$mode" copied
    [ -n "$dry" ] || [ "$(id -u)" != 0 ] || chown --reference="$qmail/control/$1" "$home/control/$1"
    tell look "control/$1" "$(hint "$1")"
  fi
}

# What the file says, without comments, in lower case.
entries() {
  [ ! -e "$1" ] || sed 's/[[:blank:]]*$//; /^#/d; /^$/d' "$1" | tr '[:upper:]' '[:lower:]'
}

# Without these files a qmail does something else than an instance.
take_defaults() {
  if [ ! -e "$qmail/control/locals" ]; then
    head -n 1 "$qmail/control/me" >"$tmp/locals"
    take "$tmp/locals" control/locals 644 "qmail has none, which means control/me"
  fi
  [ ! -e "$qmail/control/rcpthosts" ] || return 0
  {
    if [ -e "$qmail/control/locals" ]; then entries "$qmail/control/locals"; else cat "$tmp/locals"; fi
    entries "$qmail/control/virtualdomains" | sed -n '/@/d; s/^\([^:]\{1,\}\):.\{1,\}/\1/p'
  } | sort -u >"$tmp/rcpthosts"
  take "$tmp/rcpthosts" control/rcpthosts 644 'made of locals and virtualdomains'
  tell look control/rcpthosts 'qmail has none, and takes mail for every domain: an open relay. pipit takes only what stands here'
}

take_control() {
  (cd "$qmail/control" && find -L . -type f ! -path ./me | sed 's|^\./||' | sort) >"$tmp/files"
  (umask 077 && : >"$tmp/secrets") || fail "$tmp: cannot be written"
  each "$tmp/files" take_control_file
  take_secrets
  take_defaults
  take_control_file me # the last one: what pipit-setup wrote into locals was compared with the old one
}

# pipit-showctl's word on what is there now.
check_control() {
  where=$home/control
  [ -z "$dry" ] || where=$qmail/control
  "$from/pipit-showctl" -p -d "$where" | sed -n '/: pipit does not read this file$/d; s/^look: //p' >"$tmp/showctl"
  each "$tmp/showctl" tell_fault
}

tell_fault() {
  tell look "control/${1%%: *}" "${1#*: }"
}
