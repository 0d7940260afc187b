# pipit-import: what run scripts say, and the queue; only told of, nothing is taken

# script_words FILE: lines "delivery TEXT", "rules FILE", and so on.
script_words() {
  sed -e ':a' -e '/\\$/{N;s/\\\n/ /;ba' -e '}' -e '/^[[:blank:]]*#/d' "$1" | awk '
{ text = text $0 "\n" }
# What follows <what>: a word, or what stands in quotes.
function after(what, s) {
  if (!match(text, what)) return ""
  s = substr(text, RSTART + RLENGTH)
  if (s ~ /^["\047`]/) { s = substr(s, 2, index(substr(s, 2), substr(s, 1, 1)) - 1) }
  else sub(/[ \t\n].*/, "", s)
  return s
}
END {
  smtp = text ~ /qmail-smtpd/
  if (text ~ /qmail-start/) {
    s = text ~ /qmail-start[ \t]+[^ \t\n]/ ? after("qmail-start[ \t]+") : ""
    several = gsub(/\n/, " and ", s)
    print (several ? "deliveries " : "delivery ") s
  }
  if (smtp) print "rules " after("tcpserver[^\n]* -[a-zA-Z]*x[ \t]*")
  if (smtp && (s = after("tcpserver[^\n]* -[a-zA-Z]*c[ \t]*")) != "") print "sessions " s
  if ((s = after("softlimit[^\n]* -[am][ \t]*")) != "") print "memory " s
  if ((s = after("QMAILQUEUE=")) != "") print "queue " s
  while (match(text, /(rblsmtpd|spamdyke|fixcrio|recordio|greetdelay|qmail-pop3d|qmail-qmtpd|qmail-qmqpd)/)) {
    s = substr(text, RSTART, RLENGTH)
    if (!seen[s]++) print "program " s
    text = substr(text, RSTART + RLENGTH)
  }
}'
}

tell_delivery() {
  case $2 in
    '') tell look "$1" "its default delivery cannot be told; here it is control/defaultdelivery"; return ;;
    *'`'* | *'$'* | 'cat '*)
      case $2 in
        *control/defaultdelivery*) tell note "$1" 'the default delivery is control/defaultdelivery' ;;
        *) tell look "$1" "its default delivery is $2; here it is control/defaultdelivery" ;;
      esac
      return
      ;;
  esac
  if [ "$2" = "$(head -n 1 "$home/control/defaultdelivery" 2>/dev/null)" ]; then
    tell same "$1" "the default delivery is $2"
  else
    tell look "$1" "the default delivery is $2: echo '$2' >$home/control/defaultdelivery"
  fi
  printf '%s\n' "$2" >"$tmp/delivery"
  tell_commands "$tmp/delivery" "$1"
}

tell_rules() {
  case $2 in
    '') tell look "$1" 'no tcprules file is named: clients have no rules' ;;
    *'$'* | *'`'*) tell look "$1" "the tcprules file is $2; here it is control/tcp.smtp.cdb" ;;
    *)
      if cmp -s "$2" "$home/control/tcp.smtp.cdb"; then tell same "$1" "its tcprules file $2 is control/tcp.smtp.cdb"
      else tell look "$1" "its tcprules file is $2: cp $2 $home/control/tcp.smtp.cdb, and the text it is made of to control/tcp.smtp"
      fi
      ;;
  esac
}

tell_word() {
  case $2 in
    delivery) tell_delivery "$1" "$3" ;;
    deliveries) tell look "$1" "the default delivery has several lines, $3; control/defaultdelivery has one" ;;
    rules) tell_rules "$1" "$3" ;;
    sessions) tell look "$1" "tcpserver -c $3 limits sessions; here control/concurrencysmtpd does, 200 without it" ;;
    memory) tell note "$1" "softlimit: $3 bytes; here service/*/env/MEMORY" ;;
    queue) tell look "$1" "QMAILQUEUE is $3: write it into $home/service/smtpd/env/QMAILQUEUE" ;;
    program)
      case $3 in
        qmail-*) tell look "$1" "runs $3, and pipit has none" ;;
        *) tell look "$1" "runs $3; here that needs tcpserver before pipit-smtpd (INSTALL, 3)" ;;
      esac
      ;;
  esac
}

tell_script() {
  [ -f "$1" ] && ! grep -q PIPIT_HOME "$1" || return 0 # not pipit's own services
  scripts=1
  script_words "$1" >"$tmp/script"
  while read -r word value; do tell_word "$1" "$word" "$value"; done <"$tmp/script"
}

tell_scripts() {
  scripts=
  tell_script "$qmail/rc"
  set +f
  for file in "$qmail"/supervise/*/run; do tell_script "$file"; done
  set -f
  printf %s "$scriptdirs" >"$tmp/dirs"
  while IFS= read -r path; do
    tell_script "$path"
    set +f
    for file in "$path"/*/run; do tell_script "$file"; done
    set -f
  done <"$tmp/dirs"
  [ -n "$scripts" ] ||
    tell look "$qmail/rc" 'no script that starts this qmail was found; -r names the directory of its services'
}

tell_queue() {
  [ -d "$qmail/queue/mess" ] || return 0
  count=$(find "$qmail/queue/mess" -type f 2>/dev/null | grep -c .)
  if [ "$count" = 0 ]; then tell note queue/ 'is empty'
  else tell look queue/ "$count messages stay with that qmail: stop its SMTP service and let its qmail-send run until $qmail/bin/qmail-qstat says 0"
  fi
}
