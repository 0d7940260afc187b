/* rslot.h - the children of pipit-rspawn, one slot for each
 *
 * A job has one bit for each recipient that has its result: every recipient gets
 * exactly one, and then the job its end, whatever the child does.
 *
 * rspawn keeps both ends of a worker's socket. So a job that the worker has not
 * read can be taken out again, when another one has nothing to do or when it died.
 */
#ifndef PIPIT_SEND_RSLOT_H
#define PIPIT_SEND_RSLOT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <skalibs/stralloc.h>
#include <skalibs/tai.h>

#include "job.h"

enum rslot_state {
  RSLOT_FREE,
  RSLOT_IDLE,    /* a worker that waits for a job; until: when it is let go */
  RSLOT_BUSY,    /* a worker with a job; until: when it is taken for hung */
  RSLOT_PROGRAM, /* a QMAILREMOTE process with a job; the same */
  RSLOT_LEAVING  /* a worker that was let go and has not exited yet */
};

/* Jobs that may wait behind a worker's present one: one whose commands go out behind its
 * message, and one to be there when that one's message goes out, as soon as they are answered. */
#define RSLOT_AHEAD 2
#define RSLOT_JOBS  (1 + RSLOT_AHEAD)

struct rjob {
  uint32_t num;
  uint32_t nrcpts;
  uint32_t left; /* recipients without a result */
  int seconds;   /* that it may take */
  unsigned char done[(JOB_RCPTS_MAX + 7) / 8];
};

struct rslot {
  enum rslot_state state;
  pid_t pid; /* 0 once it was reaped */
  int fd;    /* a worker's socket, or the pipe that a program's report comes from; -1: ended */
  int peer;  /* the worker's end of its socket */
  tain until;
  tain since;    /* of a worker: when it began its present job */
  stralloc host, via; /* of a worker's last job, NUL-terminated; via: JOB_VIA */
  stralloc nexthop; /* where its connection leads to as far as is known, NUL-terminated; "" unknown */
  struct rjob jobs[RSLOT_JOBS]; /* the present one, and those that wait */
  unsigned int njobs;
  int proven;      /* the worker has ended a job */
  stralloc report; /* of a program */
  int status;      /* of a program, as wait() gave it */
};

struct rspawn {
  int send;     /* socket to send */
  uint32_t max; /* jobs at once */
  struct rslot *slots;
  size_t nslots;       /* slots that were ever used */
  size_t room;         /* slots that there are */
  char const *worker;  /* path of pipit-remote */
  char const *program; /* QMAILREMOTE, or NULL */
};

/* Note the job as the slot's last one; the first one's time limit is that of the slot. */
extern void rslot_add(struct rslot *s, struct job const *j);

/* Pass a result for the slot's first job on to send. Exits when send takes nothing
 * any more. 1, or 0 when it does not belong to the job (index, letter, twice). */
extern int rslot_result(struct rspawn *r, struct rslot *s, uint32_t index, char letter,
                        char const *text, size_t len);

/* Pass a note on a result of the first job on to send; as rslot_result. */
extern int rslot_note(struct rspawn *r, struct rslot *s, uint32_t index, char note);
/* Pass a G or C on. */
extern void rslot_about(struct rspawn *r, struct job_packet const *p);

/* 'Z' with the text to every recipient of the first job without a result; then the
 * job's end. The one behind it is the first one now. */
extern void rslot_end(struct rspawn *r, struct rslot *s, char const *text);

/* The job of this number is another slot's now. */
extern void rslot_drop(struct rslot *s, uint32_t num);

/* 'Z' for a job that never had a slot. */
extern void rslot_refuse(struct rspawn *r, struct job const *j, char const *text);

#endif
