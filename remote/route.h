/* route.h - where mail for a host goes: control/smtproutes, address literals, or MX */
#ifndef PIPIT_REMOTE_ROUTE_H
#define PIPIT_REMOTE_ROUTE_H

#include <stddef.h>

#include "dns.h"
#include "map.h"

enum route_kind {
  ROUTE_MX,   /* look up the MX hosts of name */
  ROUTE_HOST, /* name is a relay: its addresses, no MX */
  ROUTE_IP    /* ip */
};

struct route {
  enum route_kind kind;
  int fixed; /* from smtproutes: no loop is looked for */
  unsigned int port;
  char name[DNS_NAME_MAX];
  struct dns_ip ip;
};

enum route_result {
  ROUTE_OK,
  ROUTE_BADHOST,  /* no name or literal that could exist: permanent */
  ROUTE_TEMPORARY /* the setting cannot be read: route_why() */
};

/* Read smtproutes. Replaces what <m> held, only on success. 1, or 0 and route_why(). */
extern int route_load(struct map *m);
/* Find the route for <host> in it. */
extern enum route_result route_look(struct route *r, struct map const *m, char const *host);
/* The same, read for this one host. */
extern enum route_result route_find(struct route *r, char const *host);
extern char const *route_why(void);

/* Read what stands after the key in a line of smtproutes: "relay", "relay:port",
 * "[address]", "[address]:port", "" (MX). 1, or 0 when it is none of them. */
extern int route_parse_relay(struct route *r, char const *value);

#define ROUTE_RELAY_MAX (DNS_NAME_MAX + 16) /* bytes of "[address]:port" or "name:port" */

/* The name of a relay of smtproutes as next hop, in lower case; "" when <r> is none. */
extern void route_relay_name(struct route const *r, char out[ROUTE_RELAY_MAX]);

/* Read a host: a name, [1.2.3.4] or [IPv6:...]. 1, or 0 when it is none of them. */
extern int route_parse_host(struct route *r, char const *host);

#endif
