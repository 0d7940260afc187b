#!/bin/sh
# TEMPLATE - what the harness asks of a peer. Copy to NAME.sh and fill in.
#
# Called as: sh NAME.sh VERB, as root, in a mount and network name space that has
# only the loopback device. Environment:
#   B_DIR     the peer's own scratch directory (configuration goes here)
#   B_PORT    listen here, on 127.0.0.1 only
#   B_SINK    port of the sink, on 127.0.0.1 .. 127.0.0.100
#   B_SCEN    hold   accept into the durable queue, deliver nothing
#             local  deliver benchN@local.test to ~benchN/Maildir
#             relay  deliver uN@dK.test to 127.0.0.(K+1) port B_SINK, K = 0..99
#   B_CONC    delivery concurrency ("" = the peer's default)
#   B_TLS     "" or a file with a certificate and its key: offer STARTTLS
#   B_TRACE   "" or a command to put before the daemon (strace ...)
# Verbs:
#   info    one line: name, version, how it is configured
#   spool   directories of the durable state, one per line (for the tmpfs runs)
#   wipe    empty the queue; called only while stopped
#   config  write the configuration for the environment above
#   start   start in the background and return; all processes must stay children
#           of this call's control group (they do by themselves)
#   stop    stop everything that start started (the harness ends what is left)
#   queued  print the number of messages in the queue
#   kick    try all deferred messages now
#   files   installed files to count in the footprint, one per line
case $1 in
info) echo "template 0" ;;
spool) ;;
wipe) ;;
config) ;;
start) ;;
stop) ;;
queued) echo 0 ;;
kick) ;;
files) ;;
esac
