/* netlist.h - a list of addresses and networks, IPv4 and IPv6
 *
 * An entry is an address (192.0.2.7, 2001:db8::7), a network with its length
 * (192.0.2.0/24, 2001:db8::/32), or the beginning of an IPv4 address with a
 * dot at its end (192.0.2.), as in tcprules.
 */
#ifndef PIPIT_SMTPD_NETLIST_H
#define PIPIT_SMTPD_NETLIST_H

#include <stddef.h>

#include <skalibs/stralloc.h>

struct net {
  int family;
  unsigned int bits;
  unsigned char addr[16];
};
struct netlist {
  struct net *nets;
  size_t count;
};
#define NETLIST_ZERO { .nets = 0, .count = 0 }

/* Build <l> from NUL-terminated entries. 1, or 0 with errno; with EINVAL, <*bad>
 * points to the entry that is none of the above. <l> is unchanged then. */
extern int netlist_build(struct netlist *l, stralloc const *entries, char const **bad);

/* Is the address <ip> in one of the networks? 0 also for what is no address. */
extern int netlist_has(struct netlist const *l, char const *ip);

extern void netlist_free(struct netlist *l);

#endif
