/* destination.h - recipients in memory that wait for their turn, by destination
 *
 * Local mail is one destination, remote mail one for each domain (lowercase), and for each line of
 * control/senderroutes by which mail goes there.
 * Each belongs to a group (group.h), where it leads to. A destination has two
 * lanes: new mail, and mail that is tried again. Groups take turns, and so do the
 * destinations of one; new mail goes first, but every DESTS_FAIR-th turn begins
 * with the other lane, so that it always moves. Recipients of one message at one
 * destination stand together in a batch.
 *
 * What is known of a destination (its group, and so its health) is kept while it
 * has nothing to do, as long as no more than DESTS_IDLE others are.
 */
#ifndef PIPIT_SEND_DESTINATION_H
#define PIPIT_SEND_DESTINATION_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#include "group.h"
#include "rewrite.h"
#include "../remote/route.h"
#include "../remote/tlspolicy.h"

#define DESTS_BUCKETS 4096
#define DESTS_FAIR    8
#define DESTS_IDLE    1000
#define NEXTHOP_FRESH 60000 /* milliseconds that the answer of the DNS on mail exchangers is gone by */

struct msg;

struct rcpt {
  struct rcpt *next; /* in its batch */
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
  uint8_t tried;      /* it was, in this run or an earlier one */
  char note;          /* on its delivery: JOB_PASSED, _FINAL, _LISTED (lib/job.h), or 0 */
  uint8_t warned;     /* its sender was told of the delay, or is about to be */
  char text[];        /* what the pointers lead to */
};

struct batch {
  struct batch *next;
  struct msg *msg;
  struct dest *dest;
  struct rcpt *first, *last;
  enum lane lane;
};

struct dest_lane {
  struct batch *first, *last;
  struct dest *next; /* whose turn comes next in the group, while first is set */
};
struct dest {
  struct dest *hash_next;
  struct dest *idle_prev, *idle_next; /* of those that have nothing to do, the longest idle first */
  int idle;
  struct group *group;
  enum channel channel;
  struct dest_lane lanes[LANES];
  uint32_t inflight; /* jobs */
  uint32_t lines;    /* connections that they have, as far as is known here */
  uint64_t joined_at; /* clock_ms() when a worker told last that it leads to its group, 0: never */
  uint64_t took;     /* milliseconds from start to end of the job that has ended last */
  int stale;         /* its mail may go by other lines than when it came: each sender's for itself */
  size_t len;        /* of the domain */
  char const *via;   /* the key of the line in senderroutes, behind the domain's NUL; "": none */
  char domain[];
};
struct dests {
  struct dest *buckets[DESTS_BUCKETS];
  struct dest *idle_first, *idle_last;
  size_t idle;
  unsigned int turns[CHANNELS];
  struct groups groups;
  struct routes relays;
  struct tlspolicies tls;
};

/* The destination of mail from <sender> to the address, made where it is missing. NULL: ENOMEM. It
 * may go away when the next one is asked for. */
extern struct dest *dests_find(struct dests *d, enum channel channel, char const *addr,
                               size_t addrlen, char const *sender);

/* Is mail from <sender> to the remote address for this host after all, by a line of senderroutes or
 * smtproutes? The prefix of the local address, "" for none; NULL when it is not. It stays valid
 * until the next call. */
extern char const *dests_local(struct dests const *d, char const *addr, size_t addrlen,
                               char const *sender);

/* Put <r>, whose message is known, at the end of a lane. 1, or 0 with ENOMEM. */
extern int dests_add(struct dests *d, struct dest *t, enum lane lane, struct rcpt *r);

/* The batch whose turn it is, with <max> jobs of the channel at a time, or NULL. It stays where it is. */
extern struct batch *dests_turn(struct dests *d, enum channel channel, uint32_t max, uint64_t now);

/* Take the first recipient of <b> away; it is the caller's. NULL when none is
 * left; then <b> must be given to dests_next. */
extern struct rcpt *batch_take(struct batch *b);

/* The turn of <b>'s destination is over: <b> is freed when it is empty. */
extern void dests_next(struct dests *d, struct batch *b);

/* A job for the destination has started; or has ended, and <t> may go away. */
extern void dests_started(struct dests *d, struct dest *t);
extern void dests_ended(struct dests *d, struct dest *t);

/* The batch of <t> whose turn is next, or NULL. */
extern struct batch *dest_batch(struct dest const *t);

/* The destination leads to the mail exchangers <name>, as a worker found <now>. The group that it
 * has now. */
extern struct group *dests_join(struct dests *d, struct dest *t, char const *name, size_t len,
                                uint64_t now);

/* Append the name of the next hop that <t> leads to, and the line that it goes by, to the extras of a
 * job for <sender>. 1, or 0 with ENOMEM. */
extern int dest_extras(struct dest const *t, char const *sender, uint64_t now, stralloc *extras);
/* The name of the next hop that <t> leads to, if that is known and was not learnt too long ago, or "". */
extern char const *dest_nexthop(struct dest const *t, uint64_t now);

/* Take one batch of <g> out of memory; the caller frees its recipients and it. NULL: none is left. */
extern struct batch *dests_evict(struct dests *d, struct group *g);

/* Take away all recipients of which pick(data, r) says 1: a list, linked by next. */
extern struct rcpt *dests_sweep(struct dests *d, int (*pick)(void *data, struct rcpt const *r),
                                void *data);

struct dest_rules {
  struct routes relays;
  struct tlspolicies tls;
  struct limit_rules limits;
};
#define DEST_RULES_ZERO { .relays = ROUTES_ZERO, .tls = TLSPOLICIES_ZERO, .limits = LIMIT_RULES_ZERO }

/* Read lmtproutes, senderroutes, smtproutes, tlsdestinations and concurrencydomains into an empty <r>. 1, or 0 and why; <r> is
 * empty then. */
extern int dest_rules_load(struct dest_rules *r, char const **why);
extern void dest_rules_free(struct dest_rules *r);
/* They hold from now on; what <r> has is <d>'s. */
extern void dests_obey(struct dests *d, struct dest_rules *r);

#endif
