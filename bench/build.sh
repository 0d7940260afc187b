#!/bin/sh
# build.sh - build the measuring tools into $BENCH_DIR/bin
set -e
B=${BENCH_DIR:-/var/tmp/pipit-bench}/bin
cd "$(dirname "$0")"
mkdir -p "$B"
for f in mailsink logsink; do cc -O2 -Wall -o "$B/$f" $f.c; done
cc -O2 -Wall -o "$B/mailload" mailload.c -lssl -lcrypto
cc -O2 -Wall -o "$B/fsbench" fsbench.c -lpthread
