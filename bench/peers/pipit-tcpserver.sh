#!/bin/sh
# pipit as in pipit.sh, but under tcpserver: a process of its own, started with exec, for each connection.
B_TCPSERVER=1
. "$(dirname "$0")/pipit.sh"
