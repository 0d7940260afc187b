#!/bin/sh
# setup.sh - install what the harness needs (as root, Debian): Postfix as the peer and for smtp-source,
# build tools, accounts that get mail (bench0 to bench19), pipit's own accounts, the measuring tools.
set -e
H=$(cd "$(dirname "$0")" && pwd)
export BENCH_DIR="${BENCH_DIR:-/var/tmp/pipit-bench}"
export DEBIAN_FRONTEND=noninteractive
command -v postconf >/dev/null || {
  echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
  apt-get install -y -q postfix
}
apt-get install -y -q openssl libssl-dev gcc strace iproute2 python3 >/dev/null
mkdir -p "$BENCH_DIR/home" "$BENCH_DIR/run"
chmod 755 "$BENCH_DIR" "$BENCH_DIR/home"
for i in $(seq 0 19); do
  id bench$i >/dev/null 2>&1 || useradd -d "$BENCH_DIR/home/bench$i" -s /bin/sh bench$i
  mkdir -p "$BENCH_DIR/home/bench$i"
  usermod -d "$BENCH_DIR/home/bench$i" bench$i
  chown bench$i "$BENCH_DIR/home/bench$i"
done
make -s -C "$H/.." accounts all
sh "$H/build.sh"
echo "ready: python3 $H/bench.py intakeq keepalive relay local"
