#!/bin/sh
# netns.sh - run a test in a network of its own, where every port is free to bind
#
# usage: netns.sh COMMAND [ARG...]
#
# There is a loopback interface; 10.99.0.0/16 and fd99::/64 are local as well,
# without being addresses of an interface. Works for root and, where user
# namespaces are allowed, for everybody; the command runs as the same user.
# exit: that of the command; 99 when this machine cannot.
inside='ip link set lo up && ip route add local 10.99.0.0/16 dev lo || exit 99
ip -6 route add local fd99::/64 dev lo 2>/dev/null && echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start || exit 99'
export inside
if test "$(id -u)" = 0; then
  unshare -n true 2>/dev/null || exit 99
  exec unshare -n sh -c 'eval "$inside"; exec "$@"' sh "$@"
fi
PIPIT_UID=$(id -u) PIPIT_GID=$(id -g)
export PIPIT_UID PIPIT_GID
unshare -Urn unshare -U --map-user="$PIPIT_UID" true 2>/dev/null || exit 99
exec unshare -Urn sh -c 'eval "$inside"
exec unshare -U --map-user="$PIPIT_UID" --map-group="$PIPIT_GID" "$@"' sh "$@"
