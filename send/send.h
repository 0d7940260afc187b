/* send.h - the scheduler's state, and what its modules do with it
 *
 * A message that is known waits in <fresh> (just announced) or <found> (a scan
 * found it, nothing was tried), both in the order of arrival, or in <later>
 * (with a time), or is parked with a next hop (group.h); or it is active: its envelope in memory, in portions, its
 * recipients with the destinations or in a job.
 * Its phases:
 *   checking   the keeper reads it through before the first delivery
 *   active     recipients are loaded, waiting or being tried
 *   settling   nothing more to do now; waits until the keeper has its progress
 *              on disk, because the next attempt begins with that
 *   finishing  every recipient is finished; the keeper makes an end of it
 */
#ifndef PIPIT_SEND_SEND_H
#define PIPIT_SEND_SEND_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <skalibs/stralloc.h>

#include "command.h"
#include "destination.h"
#include "hold.h"
#include "idset.h"
#include "job.h"
#include "keeper_link.h"
#include "qfile.h"
#include "rewrite.h"
#include "settings.h"
#include "state.h"
#include "waiting.h"

#define ACTIVE_MAX      1000  /* messages in memory */
#define ACTIVE_AGAIN    500   /* of these, those that were tried before */
#define FINISHING_MAX   64    /* messages waiting for the keeper: what a kill of both repeats at most */
#define CHECKING_MAX    100   /* messages that the keeper is asked to read through: its socket holds what it is told of ends besides */
#define ADMIT_FAIR      8
#define ADMIT_BATCH     100   /* messages that are taken in before others have their turn */
#define LOADED_MAX      20000 /* recipients in memory */
#define PORTION         1000  /* recipients of one message that are loaded at once, */
#define PORTION_PART    4     /* but no more than 1/4 of what may still be loaded, */
#define PORTION_MIN     20    /* and at least so many */
#define JOB_SHARE       50    /* recipients of one message at one domain in a job */
#define TROUBLE_WAIT    60000 /* milliseconds until something that failed here is tried again */
#define HOP_AGAIN      300000 /* milliseconds until a message that waits for several next hops is looked at */
#define LOCKED_WAIT     100   /* milliseconds until a file that is locked is looked at again */
#define AHEAD_TIME      500   /* milliseconds: where a job takes longer, none waits behind another */
#define STOP_WAIT       60000 /* milliseconds that TERM waits for running deliveries */
#define MESSAGE_BUCKETS 1024

enum phase { PHASE_CHECKING, PHASE_ACTIVE, PHASE_SETTLING, PHASE_FINISHING };

struct msg {
  struct msg *hash_next;
  struct msg *prev, *next; /* all in memory */
  struct msg *hungry_next; /* those that have more to load */
  int hungry;
  int checking;       /* the keeper was asked to read it through, and has not answered */
  int doomed;         /* it is loaded only to lose recipients (removal.c) */
  int recalled;       /* no more of it is loaded: it is to lose recipients */
  int removed;        /* it has lost one */
  struct qfile q;
  uint64_t place;     /* its name in free/, as far as known; 0: it lies in mess/ */
  enum phase phase;
  enum lane lane;
  stralloc sender;    /* NUL-terminated */
  stralloc extras;    /* X records of the message, "name=value\0" ... */
  struct state state; /* as it was when it was loaded */
  int force;          /* load all, whatever their time */
  int hurry;          /* ALRM came after some were put off: try again at once */
  int more;           /* the envelope was not read to its end */
  int trouble;        /* it could not be read: stop loading */
  uint64_t envelope;  /* offset of the next record */
  uint32_t index;     /* of the next recipient */
  uint32_t loaded;    /* recipients in memory */
  uint32_t finished;  /* recipients that are delivered or failed */
  uint32_t failed;
  uint32_t arrived;   /* recipients of whose delivery the sender is to be told */
  uint32_t delayed;   /* and those of whose delay */
  uint32_t again;     /* recipients that are to be tried later */
  uint64_t due;       /* clock_ms() of the next attempt, when there is one */
  uint32_t hopping;      /* recipients that wait for a next hop, not for a time */
  struct group *hop; /* the first of those next hops; NULL: none */
  int hop_several;   /* there are others */
  int hop_dead;      /* one was dead: when it is not, times that failures there have set do not count */
  uint64_t hop_expires;      /* clock_ms() when the first of these recipients is too old */
  uint64_t expires;   /* the same, as it was parked; 0: it was not */
  int probe;          /* it may go to one dead next hop */
  int seen;           /* it is in the log */
  int dry;            /* looking only whether there is anything to do */
  int open;           /* there is */
  struct group const *stream; /* the next hop that it is loaded for, also where that has enough */
  uint64_t seq;       /* of its last packet to the keeper */
  uint32_t untold;    /* 1 + the recipient of whose success only the message's end tells; 0: none */
};

struct running { /* a job in flight */
  uint32_t num;
  struct msg *msg;
  struct dest *dest;
  uint64_t began; /* clock_ms() */
  int line;       /* it has a connection; 0: it waits behind another one */
  struct group *group;
  int probe;      /* of a dead next hop */
  char class;     /* of its failure (job.h), or 0 */
  char tls[JOB_TLS_MAX + 1]; /* how it was sent (job.h, T), or "" */
  int delivered;  /* somebody has it */
  uint32_t count;
  struct rcpt *rcpts[]; /* NULL: has its result */
};

struct spawner {
  int fd;
  enum channel channel;
  int blocked;       /* its socket is full */
  int stalled;       /* the feeder's socket is full */
  uint32_t hello;    /* jobs that it takes at once; 0 before it has said so */
  uint32_t ahead;    /* jobs that may wait behind each of them */
  uint32_t inflight;
  uint32_t lines;    /* of these, those that wait for none of the others */
  uint32_t turn;     /* makes numbers of jobs unique */
  struct running *slots[CONCURRENCY_MAX];
};

struct send {
  int queuefd;
  int lockfd;
  int readyfd;
  int signals; /* readable when a signal came */
  unsigned int split;
  uint64_t run; /* tells this run from others: its start, in microseconds */
  struct settings settings;
  struct rewrite routes;
  struct spawner spawners[CHANNELS];
  struct keeper_link keeper;
  uint64_t keeper_at; /* clock_ms() before which no other keeper is started */
  int feeder;         /* socket, -1: none now */
  pid_t feeder_pid;
  uint64_t feeder_at;
  struct idset known;
  struct waiting fresh, found, later;
  struct waiting doomed; /* found for a removal: taken in before all others */
  struct holds holds;
  struct removal removal;
  struct commands *commands;
  unsigned int admitted; /* messages taken in: whose turn it is */
  int admit_more;        /* there are more that could be */
  struct msg *buckets[MESSAGE_BUCKETS];
  struct msg *first, *last;
  struct msg *hungry, *hungry_last;
  size_t active, active_again, loaded;
  size_t checking;  /* messages that the keeper reads through */
  size_t finishing; /* messages that the keeper was told to make an end of, and has not yet */
  struct dests dests;
  uint64_t deliveries; /* the last delivery's number */
  struct job_packet *packet;
  char const *tls; /* how the job was sent whose result is taken now; "" or NULL: unknown */
  int trigger, trigger_writer;
  struct scan *scan;
  int status_due;    /* something started or finished: a status line is due */
  int stopping;      /* TERM */
  uint64_t stop_at;
  int lost;          /* a spawner is gone */
};

/* message.c: from an id to recipients in memory, and back. */

enum look { LOOK_OK, LOOK_GONE, LOOK_LOCKED, LOOK_TROUBLE, LOOK_NOT_MAIL };

/* Open the file at <path> below queue/, which must be free, and read its header. */
extern enum look message_look(struct send const *s, char const *path, int *fd, struct qfile *q);
/* Read the state of the message <q>. 1, 0 there is none, -1 with errno. */
extern int message_state(struct send const *s, struct qfile const *q, struct state *st);
/* A message that may be new, at <place> in free/ or (0) in mess/: it waits, with flags. */
extern void message_new(struct send *s, uint64_t id, uint64_t place, unsigned int flags);
/* <m> can go no further now: it waits for its time, or for its next hop. */
extern void message_pause(struct send *s, struct msg *m);
/* Wait until <when> (clock_ms(); 0: now, and whatever the recipients' own times). */
extern void message_wait(struct send *s, uint64_t id, uint64_t place, uint64_t when,
                         unsigned int flags);
/* Take in as many waiting messages as there is room for. */
extern void message_admit(struct send *s);
extern struct msg *message_find(struct send *s, uint64_t id);
/* Open the file of <m> anew, for a job: the descriptor, or -1 with errno. */
extern int message_open(struct send *s, struct msg *m);
/* A recipient of <m> is no longer in memory: go on, settle, or finish. */
extern void message_progress(struct send *s, struct msg *m);
/* A recipient is no longer in memory: it is freed, and message_progress called. */
extern void message_without(struct send *s, struct rcpt *r);
/* Tell the keeper about <m>. The seq; 0: no memory. */
extern uint64_t message_tell(struct send *s, struct msg *m, char type, char const *data,
                             size_t len);
/* The keeper cannot make an end of <m> now. It is tried again later; till then
 * what only its end would have told goes to its state, so that no recipient is tried again. */
extern void message_unfinished(struct send *s, struct msg *m);
/* The keeper has everything up to now: what settled for it can go. */
extern void message_settled(struct send *s, uint64_t covered);
/* <m> leaves memory; it waits until <when>, or with 0 is forgotten. */
extern void message_leave(struct send *s, struct msg *m, uint64_t when);
/* The keeper found it whole. */
extern void message_checked(struct send *s, struct msg *m);
/* Everything that waits is due now; with <held>, what is held as well. How many messages. */
extern size_t message_hurry(struct send *s, int held);
/* Of those that wait, those in <ids> are due now; with <doomed>, to lose recipients. */
extern void message_pick(struct send *s, struct idset const *ids, int doomed);
/* An active message is due again when it leaves. */
extern void message_again(struct msg *m);
/* A recipient of <m> is to be tried at <when> (clock_ms()), not now. */
extern void message_put_off(struct msg *m, uint64_t when);

/* load.c */

/* Is there a recipient of <m> that may be tried now? It is as it was before then; else all that
 * wait for a next hop are counted. */
extern int load_dry(struct send *s, struct msg *m);
/* Recipients of one message that may be in memory now. */
extern uint32_t load_room(struct send const *s);
/* Load recipients of those messages that have more. */
extern void load_hungry(struct send *s);

/* deliver.c: jobs. */

/* Start as many jobs as there are slots for. */
extern void deliver_start(struct send *s);
/* Read and obey a spawner's packets. 1, or 0 when it is gone. */
extern int deliver_read(struct send *s, struct spawner *p);

/* result.c: what comes of a delivery. */

/* What was done for a recipient whose delivery is about to be put off: it comes with the next job. */
extern void result_sofar(struct send *s, struct rcpt *r, char const *text, size_t len);

/* The result for one recipient, which is freed. <hop>: a dead next hop that it waits for, if it is
 * to be tried again; NULL: it waits for its time. */
extern void result_take(struct send *s, enum channel channel, struct rcpt *r, char letter,
                        char const *text, size_t len, struct group *hop);

/* nexthop.c: what becomes of next hops, and of the messages that wait for them. */

enum way { WAY_LOAD, WAY_PROBE, WAY_PARK, WAY_EXPIRE };

/* What is to be done with a recipient of <m> that leads to <g>. */
extern enum way nexthop_way(struct send *s, struct msg *m, struct group *g, uint32_t age,
                         uint32_t lifetime, uint32_t attempts);
/* A recipient of <m> waits for <g>. */
extern void nexthop_rcpt(struct msg *m, struct group *g, uint32_t age, uint32_t lifetime);
/* Put <m>, which waits for one next hop only, there. 1, or 0 with ENOMEM. */
extern int nexthop_park(struct send *s, struct msg *m, unsigned int flags);
/* How old a recipient can be at most that was parked, since it was written down with this age at
 * the wall clock time <when>. */
extern uint32_t nexthop_age(struct msg const *m, uint32_t lifetime, uint32_t age, int64_t when,
                         int64_t now);
/* A job leads to the mail exchangers <name>. */
extern void nexthop_joined(struct send *s, struct running *j, char const *name, size_t len);
/* A job has failed, for a reason of this class. */
extern void nexthop_failed(struct send *s, struct running *j, char class, char const *text, size_t len);
/* A job has started, with a connection of its own if j->line says so. */
extern void nexthop_started(struct send *s, struct running *j, struct dest *t);
/* A job has ended; if it had a connection, that is the one of <next> now, which waited for one
 * (NULL: none did). 1 when a connection has become free. */
extern int nexthop_ended(struct send *s, struct running *j, struct running *next);
/* A job was not sent, and its recipients are put off. */
extern void nexthop_unsent(struct group *g);
/* A job's recipient was delivered (K), put off (Z) or has failed (D). */
extern void nexthop_count(struct running *j, char letter);

/* children.c: the keeper and the feeder. */

extern int children_start(struct send *s);
/* Start again what died. */
extern void children_mend(struct send *s);
/* A child died (SIGCHLD). */
extern void children_reap(struct send *s);
/* Obey the keeper's answers. */
extern void keeper_obey(struct send *s);
/* Give the keeper all that is left, and wait for its end, at most a while. */
extern void children_stop(struct send *s);

/* queue_scan.c: find mail. */

extern int trigger_open(struct send *s);
/* Read ids of new messages; then look for lock/overflow. */
extern void trigger_read(struct send *s);
extern int scan_init(struct send *s);
/* Begin a scan as soon as no other one runs. */
extern void scan_start(struct send *s);
/* What the scan that runs, or the first one, will find is due at once. */
extern void scan_hurry(struct send *s);
/* Look at some names. */
extern void scan_turn(struct send *s);
/* Milliseconds until a turn is due. */
extern uint64_t scan_wait(struct send const *s);
/* Has the keeper worked in its journal: may what is found be delivered? */
extern int scan_allowed(struct send const *s);

/* send_log.c */

extern void log_new(struct msg const *m);
extern void log_end(uint64_t id);
extern void log_start(struct msg const *m, enum channel channel, struct rcpt const *r);
extern void log_result(struct send const *s, struct rcpt const *r, char letter, char const *text, size_t len);
extern void log_mangled(struct rcpt const *r);
extern void log_status(struct send const *s);
extern void log_exiting(void);
/* A next hop is dead, or alive again. */
extern void log_dead(struct group const *g);
extern void log_alive(struct group const *g, uint64_t ms);

#endif
