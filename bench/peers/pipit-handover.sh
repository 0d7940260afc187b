#!/bin/sh
# pipit under tcpserver as in pipit-tcpserver.sh, but pipit-handover gives the connections to a listener that is there.
B_TCPSERVER=1 B_HANDOVER=1
. "$(dirname "$0")/pipit.sh"
