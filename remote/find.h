/* find.h - the addresses to try for a host, in order */
#ifndef PIPIT_REMOTE_FIND_H
#define PIPIT_REMOTE_FIND_H

#include <stddef.h>

#include "dns.h"
#include "job.h"
#include "limits.h"
#include "outcome.h"
#include "route.h"
#include "settings.h"
#include "tlspolicy.h"

struct place {
  struct dns_ip ip;
  unsigned int port;
  int lmtp;                  /* what is spoken there; else SMTP */
  int best;                  /* of best preference, or of the relay: what <nexthop> names */
  char name[DNS_NAME_MAX];   /* of the host; "" where only the address is known */
  char path[ROUTE_PATH_MAX]; /* of a Unix socket; "": it is ip and port */
  struct dns_ip from;        /* to connect from; family 0: any address */
};

struct places {
  char group[JOB_GROUP_MAX + 1]; /* mxgroup.h; "" with a fixed route, or before the answer */
  char nexthop[ROUTE_RELAY_MAX]; /* the same, or the name of the relay; "" there is no name */
  struct route route;
  size_t count;
  struct place list[PLACES_MAX];
};

/* Find the places for mail from <sender> to <host>. Better preferences first; those of one preference
 * in random order, IPv6 and IPv4 in turns. Without a fixed route, this host
 * itself (by name or by address, on port 25) is left out, with all that is not
 * preferred to it. 1 with at least one, or 0 with the message's verdict in <o>. */
extern int find_places(struct places *p, char const *host, char const *sender,
                       struct settings const *s, struct outcome *o);

/* The same by a fixed route, whatever the settings say of <host>. */
extern int find_fixed(struct places *p, struct route const *route, char const *host,
                      struct settings const *s, struct outcome *o);

#endif
