#!/bin/sh
# Postfix: Debian package, own configuration directory, stock master.cf (chroot as Debian ships it).
Q=/var/spool/postfix
C=$B_DIR/etc
case $1 in
info) echo "Postfix $(postconf -d -h mail_version); Debian master.cf; HOLD by access map; fsync as always" ;;
spool) echo $Q ;;
wipe) find $Q/incoming $Q/active $Q/deferred $Q/defer $Q/bounce $Q/hold $Q/corrupt $Q/maildrop $Q/flush $Q/saved $Q/trace -type f -delete 2>/dev/null; : ;;
config)
	mkdir -p $C
	cp /etc/postfix/master.cf $C/master.cf
	cp -r /etc/postfix/dynamicmaps.cf* /etc/postfix/postfix-files* $C/ 2>/dev/null
	sed -i "s/^smtp      inet .*/127.0.0.1:$B_PORT inet n - y - ${B_CONC:+200} smtpd/; s/ -  smtpd\$/ - - smtpd/" $C/master.cf
	sed -i "s/^\(127.0.0.1:$B_PORT inet n - y -\)  *smtpd/\1 - smtpd/" $C/master.cf
	{
		echo "compatibility_level = 3.6"
		echo "inet_interfaces = 127.0.0.1"
		echo "inet_protocols = ipv4"
		echo "myhostname = bench.test"
		echo "mydestination = local.test"
		echo "mynetworks = 127.0.0.0/8"
		echo "smtp_dns_support_level = disabled"
		echo "smtp_host_lookup = native"
		echo "alias_maps ="
		echo "alias_database ="
		echo "home_mailbox = Maildir/"
		echo "mailbox_size_limit = 0"
		echo "message_size_limit = 100000000"
		echo "transport_maps = regexp:$C/transport"
		echo "smtpd_recipient_limit = 2000"
		if [ -n "$B_TLS" ]; then
			echo "smtpd_tls_security_level = may"
			echo "smtpd_tls_chain_files = $B_TLS"
		fi
		[ "$B_SCEN" = hold ] && echo "smtpd_recipient_restrictions = check_client_access static:HOLD, permit_mynetworks, reject"
		[ -n "$B_CONC" ] && { echo "default_destination_concurrency_limit = $B_CONC"; echo "default_process_limit = 200"; }
	} >$C/main.cf
	i=0; : >$C/transport
	while [ $i -lt 100 ]; do
		echo "/@d$i\\.test\$/ smtp:[127.0.0.$((i+1))]:$B_SINK" >>$C/transport; i=$((i+1))
	done
	# what Debian's start script puts into the chroot
	mkdir -p $Q/etc $Q/lib/x86_64-linux-gnu
	for f in hosts nsswitch.conf resolv.conf services localtime; do cp -L /etc/$f $Q/etc/ 2>/dev/null; done
	cp -L /lib/x86_64-linux-gnu/libnss_files* /lib/x86_64-linux-gnu/libnss_dns* $Q/lib/x86_64-linux-gnu/ 2>/dev/null
	postfix -c $C check 2>&1 | grep -v 'differ$'
	: ;;
start)
	if [ -n "$B_TRACE" ]; then
		MAIL_CONFIG=$C $B_TRACE /usr/lib/postfix/sbin/master -d -c $C &
	else
		postfix -c $C start
	fi ;;
stop) postfix -c $C stop ;;
queued) find $Q/incoming $Q/active $Q/deferred $Q/hold -type f 2>/dev/null | wc -l ;;
kick) postqueue -c $C -f ;;
files) dpkg -L postfix | grep -E '^/usr/(sbin|lib/postfix)/' ;;
esac
