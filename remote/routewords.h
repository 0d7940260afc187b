/* routewords.h - what a route says beside its relay: see route.h */
#ifndef PIPIT_REMOTE_ROUTEWORDS_H
#define PIPIT_REMOTE_ROUTEWORDS_H

#include <stddef.h>

#include "dns.h"
#include "route.h"

#define ROUTEWORDS_LOCAL "local="

/* Bytes of the relay at the start of a route; 0 where it begins with a blank or a word. */
extern size_t routewords_server(char const *value);

/* Is it one of error=, defer=, local=? Then <r> is set, or routewords_fault(). */
extern int routewords_verdict(struct route *r, char const *value);

/* Take the words, or user and password. 1, or 0 with routewords_fault(). */
extern int routewords_take(struct route *r, char const *s);

/* Take addresses with commas between them. 1, or 0: none, or two of one family. */
extern int routewords_bind(struct dns_ip bind[ROUTE_BINDS], char const *s, size_t len);

/* What was wrong with the last one, with the mend; "" nothing. No password is in it. */
extern char const *routewords_fault(void);
/* Set that: <what>, and the part of the route, s[0..len). 0. */
extern int routewords_bad(char const *what, char const *s, size_t len);

/* An address of either family in s[0..len), without brackets: 1, or 0. */
extern int route_scan_ip(struct dns_ip *ip, char const *s, size_t len);

#endif
