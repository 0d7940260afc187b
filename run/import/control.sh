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
    authsenders | outgoingip | domainips | concurrencysuppl* | suppl*) echo 'a patch sends mail by it; pipit does not' ;;
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

# Known files are for pipit's accounts; others keep owner and mode, for the program that reads them.
take_control_file() {
  [ -f "$qmail/control/$1" ] || return 0 # half of a name with a line break
  case $1 in servercert.pem)
    # A key: nothing may be known to it but its owner.
    tell look control/$1 'certificates and key for TLS; to use them: cp -p them over the one that pipit-setup has made'
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
  each "$tmp/files" take_control_file
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
