/* destination.h - recipients that wait for their turn, by destination
 *
 * Local mail is one destination, remote mail one for each domain (lowercase).
 * A destination has two lanes: new mail, and mail that is tried again.
 * Destinations take turns; new mail goes first, but every DESTS_FAIR-th turn
 * begins with the other lane, so that it always moves. Recipients of one
 * message at one destination stand together in a group.
 */
#ifndef PIPIT_SEND_DESTINATION_H
#define PIPIT_SEND_DESTINATION_H

#include <stddef.h>
#include <stdint.h>

#include "route.h"

#define DESTS_BUCKETS 1024
#define DESTS_FAIR    8

enum lane { LANE_NEW, LANE_AGAIN, LANES };

struct msg;

struct rcpt {
  struct rcpt *next; /* in its group */
  struct msg *msg;
  char const *addr;   /* rewritten */
  char const *sender; /* expanded for this recipient, or NULL: the message's */
  char const *extras; /* its X records, "name=value\0" ... */
  size_t addrlen;
  size_t extraslen;
  uint64_t delivery;  /* number in the log, from the start of the delivery */
  uint64_t loaded_at; /* clock_ms() when age was right */
  uint32_t index;     /* in the envelope */
  uint32_t age;       /* seconds, see retry.h */
  uint16_t attempts;  /* in this run */
  uint8_t passed;     /* JOB_PASSED was noted: lib/job.h */
  uint8_t warned;     /* its sender was told of the delay, or is about to be */
  char text[];        /* what the pointers lead to */
};

struct group {
  struct group *next;
  struct msg *msg;
  struct dest *dest;
  struct rcpt *first, *last;
  enum lane lane;
};

struct dest_lane {
  struct group *first, *last;
  struct dest *next; /* whose turn comes next, while first is set */
};
struct dest {
  struct dest *hash_next;
  enum channel channel;
  struct dest_lane lanes[LANES];
  uint32_t jobs;  /* in flight */
  uint32_t lines; /* connections that they have, as far as is known here */
  uint64_t took;  /* milliseconds from start to end of the job that has ended last */
  size_t len;
  char domain[];
};
struct dest_ring { /* a queue of destinations: turns */
  struct dest *first, *last;
};
struct dests {
  struct dest *buckets[DESTS_BUCKETS];
  struct dest_ring rings[CHANNELS][LANES];
  unsigned int turns[CHANNELS];
};

/* Put <r>, whose message, address and channel are known, at the end of its
 * destination's lane. 1, or 0 with ENOMEM. */
extern int dests_add(struct dests *d, enum channel channel, enum lane lane, struct rcpt *r);

/* The group whose turn it is, or NULL. It stays where it is. */
extern struct group *dests_turn(struct dests *d, enum channel channel);

/* Take the first recipient of <g> away; it is the caller's. NULL when none is
 * left; then <g> must be given to dests_next. */
extern struct rcpt *group_take(struct group *g);

/* A job of <t> is in flight; <waits>: behind another one. */
extern void dests_started(struct dest *t, int waits);
/* One has ended, after <took> milliseconds. <t> may be freed. The connections that it has
 * fewer now: 0 or 1. */
extern uint32_t dests_ended(struct dests *d, struct dest *t, uint64_t took);

/* The turn of <g>'s destination is over: <g> is freed when it is empty, and so
 * is the destination. */
extern void dests_next(struct dests *d, struct group *g);

/* Take away all recipients of which pick(data, r) says 1: a list, linked by next. */
extern struct rcpt *dests_sweep(struct dests *d, int (*pick)(void *data, struct rcpt const *r),
                                void *data);

#endif
