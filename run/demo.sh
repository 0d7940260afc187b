# demo.sh - set up an instance, run it, send it two messages, and stay in the foreground
#
# usage: sh run/demo.sh PROGRAMS   (the directory they were built in; DEMO_ONCE=1: stop after the messages)
set -u
programs=$1
dir=$PWD/instance
pid=
tmp=

stop() {
  trap '' INT TERM HUP
  if [ -n "$pid" ]; then
    kill -TERM "$pid" 2>/dev/null
    wait "$pid"
  fi
  [ -z "$tmp" ] || rm -rf "$tmp"
}

fail() {
  echo "demo: $1" >&2
  for log in "$dir"/log/*/current; do [ ! -s "$log" ] || tail -n 5 "$log" >&2; done
  stop
  exit 1
}

# As root the instance gets an account of its own, and lies where that can reach it.
choose_account() {
  as=
  account=$(id -un)
  [ "$(id -u)" = 0 ] || return 0
  account=pipitdemo
  if [ -e "$dir/queue" ]; then account=$(stat -c %U "$dir/queue"); fi
  if ! id -u "$account" >/dev/null 2>&1; then
    useradd --system --user-group --home-dir / --no-create-home --shell /usr/sbin/nologin "$account" ||
      fail "no account $account could be made"
    echo "demo: made the account $account, which the mail server runs as"
  fi
  as="setpriv --reuid $account --regid $(id -g "$account") --clear-groups"
  if ! $as test -x "$PWD"; then
    dir=/var/lib/pipit-demo
    echo "demo: $account cannot enter $PWD, so the instance lies in $dir"
  fi
}

# A port is taken when a socket listens on it (state 0A), on whatever address.
port_is_free() {
  ! grep -qi ":$(printf %04x "$1") [0-9a-f]*:0000 0a" /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

choose_port() {
  port=2525
  if [ -e "$dir/service/smtpd/env/PORT" ]; then read -r port <"$dir/service/smtpd/env/PORT"; fi
  until port_is_free "$port"; do port=$((port + 1)); done
}

# The name that mail is sent to: this host's, where it has a full one.
choose_name() {
  if [ -e "$dir/control/me" ]; then
    read -r me <"$dir/control/me"
    return
  fi
  me=$(hostname -f 2>/dev/null)
  case $me in
    localhost.* | *.localdomain) me=demo.example ;;
    *.*) ;;
    *) me=demo.example ;;
  esac
}

set_up() {
  if s6-svok "$dir/service/queued" 2>/dev/null; then fail "$dir is running already"; fi
  sh "$programs/pipit-setup" -n "$me" -s "$port" -u "$account" "$dir" >"$tmp/setup" || fail "pipit-setup failed"
}

# It may take orders a moment before its state can be read.
is_supervised() {
  s6-svok "$dir/service/$1" && [ -e "$dir/service/$1/supervise/status" ]
}

# In a session of its own, so that Ctrl-C comes here only and the programs are stopped in order.
start() {
  setsid "$dir/bin/pipit-run" "$dir" </dev/null &
  pid=$!
  tries=0
  until is_supervised queued && is_supervised send && is_supervised rcptd && is_supervised smtpd; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] && kill -0 "$pid" 2>/dev/null || fail 'the mail server did not start; see above'
    sleep 0.1
  done 2>/dev/null
  # Only its account hears from the supervision.
  (cd / && $as s6-svwait -U -a -t 20000 "$dir/service/queued" "$dir/service/send" "$dir/service/rcptd" "$dir/service/smtpd") ||
    fail 'the services did not get ready; their last log lines are above'
}

message() {
  printf 'From: demo@%s\nTo: %s\nSubject: %s\n\nThis message came %s.\n' "$me" "$to" "$2" "$1"
}

# The client is pipit-remote, with a control directory that sends all mail to this port.
send_by_smtp() {
  mkdir "$tmp/control" &&
    echo "$me" >"$tmp/control/me" && echo ":127.0.0.1:$port" >"$tmp/control/smtproutes" || fail "$tmp: cannot be written"
  chmod 755 "$tmp" "$tmp/control"
  message "in by SMTP, port $port" "$1" | (cd / && PIPIT_HOME=$tmp $as "$dir/bin/pipit-remote" "$me" "demo@$me" "$to") >"$tmp/report"
  tr '\0' '\n' <"$tmp/report" | grep -q '^K' || fail "SMTP: $(tr '\0' ' ' <"$tmp/report")"
}

send_by_sendmail() {
  message 'from the sendmail command' "$1" | (cd / && "$dir/bin/sendmail" -f "demo@$me" "$to") || fail 'sendmail failed'
}

# Wait for the message with this subject, and show it.
show() {
  tries=0
  until file=$(grep -lrx "Subject: $1" "$dir/alias/Maildir/new" 2>/dev/null) && [ -n "$file" ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || fail "the message '$1' was not delivered"
    sleep 0.1
  done
  printf '\n--- %s\n' "$file"
  cat "$file"
}

explain() {
  cat <<END

Both messages are delivered. The mail server is running until you press Ctrl-C.
  SMTP       127.0.0.1 port $port
  sendmail   $dir/bin/sendmail, for example: echo hello | $dir/bin/sendmail $to
  mail       $dir/alias/Maildir/new (every address at $me)
  logs       $dir/log/{authc,authd,queued,rcptd,send,smtpd,tlsc,tlsd}/current (readable with s6-tai64nlocal)
  settings   $dir/control, $dir/service/smtpd/env
END
}

trap 'stop; echo; echo "demo: stopped; the mail stays in $dir"; exit 0' INT TERM HUP
tmp=$(mktemp -d) || fail 'no temporary directory'
choose_account
choose_name
choose_port
to=you@$me
set_up
start
mark="demo $(date +%s)-$$"
send_by_smtp "$mark, by SMTP"
send_by_sendmail "$mark, by sendmail"
show "$mark, by SMTP"
show "$mark, by sendmail"
explain
if [ -z "${DEMO_ONCE:-}" ]; then wait "$pid"; fi
stop
