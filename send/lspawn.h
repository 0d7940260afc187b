/* lspawn.h - what the modules of pipit-lspawn share */
#ifndef PIPIT_LSPAWN_H
#define PIPIT_LSPAWN_H

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <skalibs/tai.h>

#include "accounts.h"
#include "finduser.h"
#include "job.h"
#include "mailuser.h"

/* Exit codes of a child that did not get as far as delivering;
 * those of qmail-lspawn where it has one. Each is a temporary failure. */
enum lspawn_exit {
  LSPAWN_OK = 0,
  LSPAWN_USAGE = 112,
  LSPAWN_ROOT = 113,
  LSPAWN_NFS = 115,
  LSPAWN_NOALIAS = 116,
  LSPAWN_CDB = 117,
  LSPAWN_SYS = 118,
  LSPAWN_NOMEM = 119,
  LSPAWN_EXEC = 120,
  LSPAWN_GETPW = 121,
  LSPAWN_MAILBOXES = 122
};

/* A place for a process and for its delivery.
 *   FREE -> RUNNING -> RESULT -> END -> FREE
 *              ^                  |
 *              +------ IDLE <-----+   a worker that takes one more */
enum state { FREE, RUNNING, RESULT, END, IDLE };

struct slot {
  enum state state;
  uint32_t num;   /* of the delivery */
  tain deadline;  /* RUNNING: of the delivery; IDLE: of the worker */
  int timedout;
  char letter;
  size_t len;
  char *text;            /* JOB_TEXT_MAX bytes */
  unsigned int notes;    /* that the worker has given on this delivery */
  char note;             /* of these, that on a success, or 0 */
  size_t sofarlen;       /* and what goes with a temporary failure; 0: nothing */
  char *sofar;           /* JOB_SOFAR_MAX bytes */
  /* The process; with QMAILLOCAL it is no worker, and has no socket. */
  pid_t pid;             /* 0: none, or it has ended */
  int report;            /* what it writes to descriptors 1 and 2, or -1 */
  int sock, peer;        /* both ends of a worker's socket, or -1 */
  char *rcpt;            /* whom it delivers to; NULL: it is no worker */
  unsigned int done;     /* deliveries */
  unsigned long users;   /* the state of the tables of users that it was started with */
  tain end;              /* it takes no more from then on; nor does what it looked up count */
};

/* What finduser said of an address: see mailuser_restore. */
#define KNOWN_TEXT_MAX 160 /* bytes; what is longer is looked up each time */
#define KNOWN_RCPT_MAX 64  /* bytes of an address, with its NUL; as above */
#define KNOWN_ENTRIES  4096
struct known {
  uint32_t len; /* 0: nothing */
  uid_t uid;
  gid_t gid;
  char text[KNOWN_TEXT_MAX];
};
struct known_entry {
  tain end;            /* it counts until then */
  unsigned long users; /* and while the tables of users are these */
  unsigned long turn;  /* of the last process for this address */
  struct known known;
  char rcpt[KNOWN_RCPT_MAX];
};

#define LSPAWN_ENV_MAX 8
#define IDLE_LEAST     10  /* workers without a job that are kept */
#define IDLE_MAX       100 /* and at most; each has 125 KB of its own */
#define IDLE_STEP      4   /* more of them at a time */

struct lspawn {
  struct accounts accounts;
  char const *home; /* of the instance, absolute */
  char const *defaultdelivery;
  char const *program;        /* QMAILLOCAL, or NULL */
  char *env[LSPAWN_ENV_MAX];  /* of a delivery */
  int null;                   /* a descriptor of /dev/null */
  void *shared;               /* with all children, until they become users */
  size_t sharedsize;
  struct finduser_stamps *stamps; /* shared: the tables that were sound */
  struct finduser_stamps seen;    /* those that are there */
  unsigned long users;            /* how often others were seen */
  struct rlimit files;            /* as it was at the start, for the users' programs */
  unsigned long seconds;          /* that a delivery may take */
  unsigned long groups;           /* 1: users get their supplementary groups */
  struct known *found; /* shared: for each slot, what its child looked up */
  struct known given;  /* what the next child need not look up */
  unsigned long turn;  /* processes started */
  unsigned int idle;   /* workers without a job that are kept: IDLE_LEAST to IDLE_MAX */
  /* Children of workers do not have these: they hold other people's mail. */
  struct slot *slots;
  struct known_entry *known; /* KNOWN_ENTRIES */
  unsigned int max;
  struct job_packet *packet;
};

/* lspawn-worker.c: processes and what they say. */

/* The slot for a job: that of an idle worker of this address, or a free one (NULL:
 * a free one), for which an idle worker is let go where that must be. NULL: all
 * are taken. */
extern struct slot *worker_find(struct lspawn *l, char const *rcpt);
/* Give the job to the slot's worker, or to a new process. */
extern void worker_give(struct lspawn *l, struct slot *s, struct job const *j);
/* Read what a running delivery says, as far as it is there. */
extern void worker_listen(struct lspawn *l, struct slot *s);
/* Its process has ended. */
extern void worker_ended(struct lspawn *l, struct slot *s, int wstat);
/* Send has heard of the delivery: the worker is kept, or let go. */
extern void worker_rest(struct lspawn *l, struct slot *s);
/* Let a worker go: it ends when its socket does. The slot is free. */
extern void worker_leave(struct slot *s);
/* The result of the delivery; <text> goes before what was said. */
extern void worker_say(struct slot *s, char letter, char const *text, size_t len);
extern void worker_defer(struct slot *s, char const *text);

/* lspawn-known.c: who gets the mail for an address, for some seconds. */

/* What is known of <rcpt> goes into l->given, and until when it counts into <*end>. 0: nothing is; else how
 * many processes have been started since the last one for <rcpt>. */
extern unsigned long known_recall(struct lspawn *l, char const *rcpt, tain *end);
/* The next child of this slot has to look its user up. */
extern void known_forget(struct lspawn *l, struct slot const *s);
/* Keep what the slot's child has looked up, if it has; that is over. */
extern void known_keep(struct lspawn *l, struct slot const *s);
/* In the child: tell what was found. */
extern void known_tell(struct known *k, struct mailuser const *u);

/* lspawn-child.c: what children need of lspawn's own environment; ends the program when memory is short. */
extern void lspawn_environment(struct lspawn *l);
/* The rest of the life of a child: look the user up, become him,
 * deliver as a worker (local/worker.h), with <in> as its socket; or execute $QMAILLOCAL with
 * <in> as the pipe with the message. <report> is for descriptors 1 and 2, <found> for what is looked up. */
extern void lspawn_child(struct lspawn const *l, struct job const *j, int in, int report,
                         struct known *found)
    __attribute__((noreturn));

#endif
