#!/bin/sh
# pipit: a privilege-separated instance of its own, with its own listener.
# hold: pipit-start does not run. B_TLS=FILE: a certificate with its key, for STARTTLS. B_POOL=N: N finished files wait to be used again; 0: none ever is.
BINS=$(cd "$(dirname "$0")/../../build/bin" && pwd)
D=$BENCH_DIR/${B_INSTANCE:-pipit}
case $1 in
info) echo "pipit; ${B_TCPSERVER:+tcpserver }${B_HANDOVER:+pipit-handover }pipit-smtpd$([ "$B_TCPSERVER" ] || echo ' -l'); hold = no pipit-start; fdatasync as always" ;;
spool) echo $D/queue ;;
wipe)
	find $D/queue/mess $D/queue/state $D/queue/bad -type f -delete 2>/dev/null
	rm -f $D/queue/lock/done
	# The finished files stay for the next run that delivers here: they are the pool, and removals slow ext4 for minutes.
	[ "$B_SCEN" = local ] || find $D/queue/free -type f -delete 2>/dev/null; : ;;
config)
	$BINS/pipit-setup -n bench.test -s $B_PORT $D >/dev/null
	cd $D/control || exit 1
	printf 'local.test\nbench.test\n' >locals
	echo local.test >rcpthosts
	i=0; while [ $i -lt 100 ]; do echo "d$i.test:127.0.0.$((i+1)):$B_SINK"; i=$((i+1)); done >smtproutes
	# As many local deliveries at once as Postfix makes to one destination.
	if [ "$B_SCEN" = local ]; then echo 20 >concurrencylocal; else rm -f concurrencylocal; fi
	if [ -n "$B_CONC" ]; then echo $B_CONC >concurrencyremote; else rm -f concurrencyremote; fi
	if [ -n "$B_POOL" ]; then
		echo "$B_POOL 1000000000" >queuepool
		/usr/bin/python3 "$(dirname "$BINS")/../bench/fillpool.py" $D/queue $B_POOL
	else rm -f queuepool; fi
	[ -z "$B_TLS" ] || install -m 600 "$B_TLS" servercert.pem
	echo 1000 >concurrencysmtpd ;;
start)
	cd /
	run() { env - PIPIT_HOME=$D PATH=/usr/bin:/bin RELAYCLIENT= $B_TRACE "$@" >>$B_DIR/log 2>&1 & }
	run $D/bin/pipit-queued
	echo $! >$B_DIR/pid.queued
	while [ ! -S $D/run/queue ]; do sleep 0.1; done
	rm -f $D/run/rcptd # left by the last run
	run $D/bin/pipit-rcptd
	echo $! >$B_DIR/pid.rcptd
	while [ ! -S $D/run/rcptd ]; do sleep 0.1; done
	if [ "$B_TLS" ]; then
		rm -f $D/run/tls # left by the last run
		run $D/bin/pipit-tlsd
		echo $! >$B_DIR/pid.tlsd
		while [ ! -S $D/run/tls ]; do sleep 0.1; done
	fi
	[ "$B_SCEN" = hold ] || { run $D/bin/pipit-start ./Maildir/; echo $! >$B_DIR/pid.send; }
	if [ "$B_HANDOVER" ]; then
		rm -f $D/run/smtpd # left by the last run
		run $D/bin/pipit-smtpd -l -s run/smtpd
		echo $! >$B_DIR/pid.handover
		while [ ! -S $D/run/smtpd ]; do sleep 0.1; done
	fi
	if [ "$B_TCPSERVER" ]; then
		run tcpserver -RH -l0 -c 1000 -b 128 -u $(id -u pipitd) -g $(id -g pipitd) 127.0.0.1 $B_PORT \
			${B_HANDOVER:+$D/bin/pipit-handover $D/run/smtpd} $D/bin/pipit-smtpd
	else run $D/bin/pipit-smtpd -l -a 127.0.0.1 -p $B_PORT; fi
	echo $! >$B_DIR/pid.smtpd ;;
stop)
	for f in smtpd handover tlsd rcptd send queued; do [ -s $B_DIR/pid.$f ] && kill $(cat $B_DIR/pid.$f); done
	rm -f $B_DIR/pid.*; : ;;
# A message that has not been tried yet may lie in free/ as well.
queued) grep -rla '^LIVE' $D/queue/mess $D/queue/free | wc -l ;;
kick) kill -ALRM $(cat $B_DIR/pid.send) ;;
files) find $D/bin -type f ;;
esac
