/* send.h - the scheduler's state, and what its modules do with it
 *
 * A message that is known waits in <fresh> (just announced) or <found> (a scan
 * found it, nothing was tried), both in the order of arrival, or in <later>
 * (with a time); or it is active: its envelope in memory, in portions, its
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
#include "route.h"
#include "settings.h"
#include "state.h"
#include "waiting.h"

#define ACTIVE_MAX      1000  /* messages in memory */
#define ACTIVE_AGAIN    500   /* of these, those that were tried before */
#define FINISHING_MAX   64    /* messages waiting for the keeper: what a kill of both repeats at most */
#define ADMIT_FAIR      8
#define LOADED_MAX      10000 /* recipients in memory */
#define PORTION         1000  /* recipients of one message that are loaded at once */
#define JOB_SHARE       50    /* recipients of one message at one domain in a job */
#define TROUBLE_WAIT    60000 /* milliseconds until something that failed here is tried again */
#define LOCKED_WAIT     100   /* milliseconds until a file that is locked is looked at again */
#define STOP_WAIT       60000 /* milliseconds that TERM waits for running deliveries */
#define MESSAGE_BUCKETS 1024

/* The keys of <later> are times (clock_ms()), those of the others ids, with a flag below. */
#define WAIT_CHECK 1u /* check the sum before a delivery */
#define WAIT_TOLD  2u /* the log has its "new msg" */
#define WAIT_FORCE 4u /* load all, whatever their time: it was to be tried, and could not be opened */
#define WAIT_FLAGS 7u
#define WAIT_SHIFT 3
#define WAIT_NEVER (UINT64_MAX >> 8) /* when what is held is due */

enum phase { PHASE_CHECKING, PHASE_ACTIVE, PHASE_SETTLING, PHASE_FINISHING };

struct msg {
  struct msg *hash_next;
  struct msg *prev, *next; /* all in memory */
  struct msg *hungry_next; /* those that have more to load */
  int hungry;
  int told;           /* the log has its "new msg" */
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
  uint32_t again;     /* recipients that are to be tried later */
  uint64_t due;       /* clock_ms() of the next attempt, when there is one */
  uint64_t seq;       /* of its last packet to the keeper */
  uint32_t untold;    /* 1 + the recipient of whose success only the message's end tells; 0: none */
};

struct running { /* a job in flight */
  uint32_t num;
  struct msg *msg;
  uint32_t count;
  struct rcpt *rcpts[]; /* NULL: has its result */
};

struct spawner {
  int fd;
  enum channel channel;
  int blocked;       /* its socket is full */
  int stalled;       /* the feeder's socket is full */
  uint32_t hello;    /* jobs that it takes at once; 0 before it has said so */
  uint32_t inflight;
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
  struct routes routes;
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
  struct msg *buckets[MESSAGE_BUCKETS];
  struct msg *first, *last;
  struct msg *hungry, *hungry_last;
  size_t active, active_again, loaded;
  size_t finishing; /* messages that the keeper was told to make an end of, and has not yet */
  struct dests dests;
  uint64_t deliveries; /* the last delivery's number */
  struct job_packet *packet;
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

/* Load recipients of those messages that have more. */
extern void load_hungry(struct send *s);

/* deliver.c: jobs. */

/* Start as many jobs as there are slots for. */
extern void deliver_start(struct send *s);
/* Read and obey a spawner's packets. 1, or 0 when it is gone. */
extern int deliver_read(struct send *s, struct spawner *p);

/* result.c: what comes of a delivery. */

/* The result for one recipient, which is freed. */
extern void result_take(struct send *s, enum channel channel, struct rcpt *r, char letter,
                        char const *text, size_t len);

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
extern void log_result(struct rcpt const *r, char letter, char const *text, size_t len);
extern void log_mangled(struct rcpt const *r);
extern void log_status(struct send const *s);
extern void log_exiting(void);

#endif
