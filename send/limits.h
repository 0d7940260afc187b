/* limits.h - control/concurrencydomains: limits of next hops
 *
 * Lines "name:key=value ...". The name is a recipient's domain, a host of the
 * best preference among its mail exchangers, a server of control/lmtproutes or
 * smtproutes (without its port), one of these below .suffix, or empty: the default.
 */
#ifndef PIPIT_SEND_LIMITS_H
#define PIPIT_SEND_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "map.h"

#define LIMITS_FILE     "concurrencydomains"
#define LIMITS_RATE_MAX 1000000 /* messages, and seconds, of a rate */
#define LIMITS_CONN_MAX 100000  /* messages of a connection */
#define LIMITS_IDLE_MAX 3600

struct limits { /* 0: not limited here */
  uint32_t connections;
  uint32_t rate, seconds; /* so many messages in so many seconds */
  uint32_t connmessages;  /* messages of one connection */
  uint32_t connidle;      /* seconds that a connection is kept without any */
};

struct limit_rules {
  struct map map;
  struct limits otherwise; /* the default line */
  int named;               /* there are others */
};
#define LIMIT_RULES_ZERO { .map = MAP_ZERO, .otherwise = { 0 }, .named = 0 }

/* Read "key=value ..." into <l>, on top of what it holds. 1, or 0: not that. */
extern int limits_parse(struct limits *l, char const *s);

/* Read the file. Replaces what <r> held, only when all of it is good. 1, or 0 and control_why(). */
extern int limits_load(struct limit_rules *r);

/* Set <l> for name[0..len): its own line's limits, and the default's for the rest. 1 when it has a
 * line of its own. */
extern int limits_find(struct limit_rules const *r, char const *name, size_t len, struct limits *l);

#endif
