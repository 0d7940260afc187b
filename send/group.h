/* group.h - next hops: what destinations share that lead to the same place
 *
 * A group is a server of control/lmtproutes or smtproutes, or the mail exchangers of best
 * preference, or a domain whose exchangers are not known yet or that has a line
 * in control/concurrencydomains; local mail is one. It has limits, health
 * (health.h), and the messages that wait for it out of memory: "parked".
 * Messages are parked while the group is dead, and when it has more than its
 * share of those in memory; they come back in the order of their age.
 *
 * <ready> is a ring of the groups whose parked messages may be wanted now, and
 * <wake_at> the time when time alone may change something.
 */
#ifndef PIPIT_SEND_GROUP_H
#define PIPIT_SEND_GROUP_H

#include <stddef.h>
#include <stdint.h>

#include "health.h"
#include "limits.h"
#include "map.h"
#include "rewrite.h"
#include "waiting.h"

#define GROUPS_BUCKETS  1024
#define GROUP_REPLY_MAX 200   /* bytes of the last reply that are kept */
#define GROUP_SCAN      16    /* groups that are looked at for one message */
#define GROUP_FAIR      8     /* every so many parked messages, one that was tried before is first */
#define WAKE_STEP       100   /* milliseconds between two looks at all groups */
#define PROBE_AGAIN     60000 /* milliseconds until the next probe, where one came to nothing here */
#define PROBES_EXPIRE   2     /* failed probes before a parked message expires */
#define EXPIRE_AGAIN    60000 /* and until a message that is too old is looked at again */

enum lane { LANE_NEW, LANE_AGAIN, LANES };

enum group_kind { GROUP_LOCAL, GROUP_DOMAIN, GROUP_MX, GROUP_RELAY };

struct dest;

struct group_lane { /* destinations with recipients in memory take turns */
  struct dest *first, *last;
  struct group *next; /* in the ring of its channel */
  int queued;         /* it is in that ring */
};

struct group {
  struct group *hash_next;
  struct group *prev, *next; /* all */
  enum group_kind kind;
  uint32_t refs;      /* destinations, jobs in flight, messages that will be parked here */
  int known;          /* of a domain: where its mail goes was asked already */
  int busy;           /* it has jobs in flight, or recipients in memory */
  struct limits limits;
  struct health health;
  struct bucket bucket;
  struct group_lane lanes[LANES];
  uint32_t inflight;  /* jobs */
  uint32_t batches;   /* messages in memory that wait for it, by destination */
  struct waiting parked[LANES]; /* the keys are times when messages expire; flags below */
  unsigned int unparked;
  int ready;          /* it is in the ring */
  struct group *ready_next;
  int probing;        /* a recipient is in memory or in a job, as probe */
  uint64_t delivered, deferred, failed; /* recipients, in this run */
  uint64_t last_at;   /* clock_ms() of the last reply, 0: none */
  char *last;         /* NUL-terminated; NULL: none */
  size_t len;
  char name[];        /* lower case, NUL-terminated */
};

struct group_ring {
  struct group *first, *last;
};

struct groups {
  struct group *buckets[GROUPS_BUCKETS];
  struct group *first;
  struct group_ring rings[CHANNELS][LANES]; /* those that may get a job */
  struct group_ring ready;
  uint32_t inflight[CHANNELS], busy[CHANNELS];
  uint64_t wake_at; /* 0: never */
  struct limit_rules rules;
  uint32_t parked;  /* messages */
};

extern enum channel group_channel(struct group const *g);

/* The group of this name, made where it is missing; the caller has a reference. NULL: ENOMEM. */
extern struct group *group_take(struct groups *gs, enum group_kind kind, char const *name,
                                size_t len);
extern void group_ref(struct group *g);
/* A reference less: a group that nothing refers to and nobody waits for is freed. */
extern void group_unref(struct groups *gs, struct group *g);

/* Jobs at a time that it may have. */
extern uint32_t group_limit(struct groups const *gs, struct group const *g);
/* May it have another job now, apart from the share of the others? Notes when to look again. */
extern int group_may_start(struct groups *gs, struct group *g, uint64_t now);
/* It may have become one that may have a job: into the rings. */
extern void group_resume(struct groups *gs, struct group *g);
/* Does it hold so many slots of <max> that the last ones are for others? */
extern int group_has_enough(struct groups const *gs, struct group const *g, uint32_t max);
/* Has it enough messages in memory, of which there may be <room> more? */
extern int group_is_full(struct group const *g, size_t room);
/* Is a message a probe, if it comes now? */
extern int group_wants_probe(struct group const *g, uint64_t now);

/* A job has started, or ended. */
extern void group_started(struct groups *gs, struct group *g, uint64_t now);
extern void group_ended(struct groups *gs, struct group *g);
/* inflight or batches has changed. */
extern void group_changed(struct groups *gs, struct group *g);
/* Keep what was said last. */
extern void group_note(struct group *g, char const *text, size_t len, uint64_t now);

/* Park a message. 1, or 0 with ENOMEM. */
extern int group_park(struct groups *gs, struct group *g, enum lane lane, struct waiting_entry e);
/* A parked message that may be taken in now, when <room> more may be in memory. 1 and <*e>, 0 none. */
extern int group_unpark(struct groups *gs, size_t room, uint64_t now, struct waiting_entry *e);
/* Is there one? */
extern int group_any(struct groups *gs, size_t room, uint64_t now);
/* Of those that are parked, those in <ids> move to <to>, due at once; dead next hops of theirs are
 * probed now. */
extern void groups_pick(struct groups *gs, struct idset const *ids, uint64_t now,
                        struct waiting *to);
/* What waits at <from> waits at <to> now. */
extern void group_move_parked(struct groups *gs, struct group *from, struct group *to);
/* <g>'s state has changed: parked messages may be wanted. */
extern void group_review(struct groups *gs, struct group *g, uint64_t now);
/* Times may have come. */
extern void groups_wake(struct groups *gs, uint64_t now);
/* Something is due at <when>. */
extern void groups_due(struct groups *gs, uint64_t when);
/* Dead ones are probed now. */
extern void groups_hurry(struct groups *gs, uint64_t now);
/* The rules have changed. */
extern void groups_reset_limits(struct groups *gs);

#endif
