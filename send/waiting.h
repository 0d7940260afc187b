/* waiting.h - messages that wait, the smallest key first */
#ifndef PIPIT_SEND_WAITING_H
#define PIPIT_SEND_WAITING_H

#include <stddef.h>
#include <stdint.h>

#include "idset.h"

/* A key is a time (clock_ms()) or an id, and flags below it. */
#define WAIT_CHECK 1u /* check the sum before a delivery */
#define WAIT_SEEN  2u /* it is in the log */
#define WAIT_FORCE 4u /* try it whatever its recipients' own times are */
#define WAIT_PROBE 8u /* it may go to the dead host that it waited for */
#define WAIT_FLAGS 15u
#define WAIT_SHIFT 4
#define WAIT_NEVER (UINT64_MAX >> 8) /* the time at which what is held is due */

struct waiting_entry {
  uint64_t id;
  uint64_t place; /* its name in free/, or 0: it lies in mess/ */
  uint64_t key;
};
struct waiting {
  struct waiting_entry *entries; /* a heap */
  size_t count;
  size_t room;
};
#define WAITING_ZERO { 0 }

#define WAITING_BYTES 64 /* of a waiting message at most: its entry, with room to grow, and its id */

/* 1, or 0 with ENOMEM. */
extern int waiting_push(struct waiting *w, uint64_t id, uint64_t place, uint64_t key);
/* Those whose ids are in <ids> move to <to>, which may be <w>, with only the bits <mask> of their
 * keys left; for want of memory one may stay. */
extern void waiting_pick(struct waiting *w, struct idset const *ids, uint64_t mask,
                         struct waiting *to);
/* Take the first one away; there must be one. */
extern struct waiting_entry waiting_pop(struct waiting *w);
extern void waiting_free(struct waiting *w);

#endif
