/* deliver.h - one job: a message to a host, on the connection that is there or on a new one */
#ifndef PIPIT_REMOTE_DELIVER_H
#define PIPIT_REMOTE_DELIVER_H

#include <stdint.h>

#include <skalibs/stralloc.h>

#include "conn.h"
#include "rcpts.h"
#include "job.h"
#include "message.h"
#include "outcome.h"
#include "route.h"
#include "settings.h"
#include "tlspolicy.h"
#include "transact.h"

struct work { /* a job under way; large: not for the stack */
  struct job const *job;
  struct outcome outcome; /* the verdicts */
  int ready;              /* it can be sent; else its verdicts are there */
  int lost;               /* a connection was lost that was not made for it */
  struct envelope envelope;
  struct message message;
  struct transaction transaction;
};

/* Is there another job by now? 1 and its <*job>, which stays valid until it was
 * delivered; else 0. */
typedef int deliver_take_func(void *arg, struct job const **job);

#define WORKS 2 /* the one that is delivered, and the next */

struct link { /* what is kept from job to job; large: not for the stack */
  struct settings settings; /* of the connection */
  stralloc host, via;       /* that the connection is for, and the line that mail goes by */
  stralloc hop;             /* where send said that leads to, or "" */
  struct tlspolicies policies; /* control/tlsdestinations when it was made, ... */
  uint64_t stamp;           /* ... and which version that was */
  struct tlspolicy tls;     /* the one that it was made by */
  int routed;               /* that is the route's own */
  char relay[ROUTE_RELAY_MAX]; /* where all go by a fixed route, or "" */
  struct route const *route; /* where all hosts lead to; NULL: where the settings say */
  char nexthop[ROUTE_RELAY_MAX]; /* what the connection leads to, for other hosts too; "": for none */
  struct conn conn;
  struct envelope_domains domains;
  struct work works[WORKS];
  struct work *now, *next; /* next: NULL while none was taken */
  deliver_take_func *take; /* NULL: there is never another */
  /* Told the name of a job's mail exchangers, once they are known; NULL: nobody is. */
  void (*on_group)(void *arg, uint32_t num, char const *name);
  void *arg;               /* of both */
};

/* Begin with a link that is all 0. */
extern void link_init(struct link *l);

/* Do the job that was taken while the one before was delivered, or else <j>: every
 * recipient has its verdict in the work's outcome afterwards (if that has as many:
 * else there was no memory). A connection that is good for more is kept. Never
 * longer than JOB_SECONDS and one second for JOB_RATE bytes. */
extern struct work *deliver(struct link *l, struct job const *j);

/* The connection has spoken, or ended, while there was no job: it is of no use
 * any more. */
extern void deliver_drop(struct link *l);

/* Say QUIT on the connection, if there is one. */
extern void deliver_quit(struct link *l);

#endif
