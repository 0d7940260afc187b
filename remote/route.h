/* route.h - where mail for a host goes: lmtproutes, smtproutes, address literals, or MX */
#ifndef PIPIT_REMOTE_ROUTE_H
#define PIPIT_REMOTE_ROUTE_H

#include <stddef.h>
#include <sys/un.h>

#include "dns.h"
#include "map.h"

enum route_kind {
  ROUTE_MX,   /* look up the MX hosts of name */
  ROUTE_HOST, /* name is a relay: its addresses, no MX */
  ROUTE_IP,   /* ip */
  ROUTE_SOCKET /* name is the path of a Unix socket */
};

#define ROUTE_PATH_MAX (sizeof ((struct sockaddr_un *)0)->sun_path) /* bytes of one, with its NUL */
_Static_assert(ROUTE_PATH_MAX <= DNS_NAME_MAX, "a path must fit where a name does");

struct route {
  enum route_kind kind;
  int fixed; /* from lmtproutes or smtproutes: no loop is looked for */
  int lmtp;  /* from lmtproutes: the server speaks LMTP */
  unsigned int port;
  char name[DNS_NAME_MAX];
  struct dns_ip ip;
};

enum route_result {
  ROUTE_OK,
  ROUTE_BADHOST,  /* no name or literal that could exist: permanent */
  ROUTE_TEMPORARY /* the setting cannot be read: route_why() */
};

struct routes {
  struct map lmtp, smtp; /* control/lmtproutes, which is looked at first, and control/smtproutes */
};
#define ROUTES_ZERO { .lmtp = MAP_ZERO, .smtp = MAP_ZERO }

/* Read both files. Replaces what <rs> held, only on success. 1, or 0 and route_why(). */
extern int route_load(struct routes *rs);
extern void routes_free(struct routes *rs);
/* Find the route for <host> in them. */
extern enum route_result route_look(struct route *r, struct routes const *rs, char const *host);
/* The same, read for this one host. */
extern enum route_result route_find(struct route *r, char const *host);
extern char const *route_why(void);

/* Read what stands after the key in a line of smtproutes: "relay", "relay:port",
 * "[address]", "[address]:port", "" (MX). 1, or 0 when it is none of them. */
extern int route_parse_relay(struct route *r, char const *value);
/* The same of lmtproutes: "/path" too, and no port without a host. */
extern int route_parse_lmtp(struct route *r, char const *value);

#define ROUTE_RELAY_MAX (DNS_NAME_MAX + 16) /* bytes of what route_relay_name writes */

/* The name of a relay, or of an LMTP server, as next hop: "name:port", "[address]:port", in lower
 * case, with "/lmtp" behind it; or the path. "" when <r> is neither. */
extern void route_relay_name(struct route const *r, char out[ROUTE_RELAY_MAX]);

/* Read a host: a name, [1.2.3.4] or [IPv6:...]. 1, or 0 when it is none of them. */
extern int route_parse_host(struct route *r, char const *host);

#endif
