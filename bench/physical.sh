#!/bin/sh
# physical.sh ROUNDS SECONDS DIR OUT - the bound: every fsbench variant, interleaved; one line per run
B=${BENCH_DIR:-/var/tmp/pipit-bench}/bin; R=$1; S=$2; D=$3; O=$4
r=0
while [ $r -lt $R ]; do
	for c in 1 10 50; do for v in a b c d u l g n; do
		d=$D/fsb.$v$c; mkdir -p $d; echo "$D $($B/fsbench $d $v $c $S)" >>$O; rm -rf $d; sync
	done; done
	r=$((r+1))
done
