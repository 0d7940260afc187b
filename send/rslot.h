/* rslot.h - the children of pipit-rspawn, one slot for each
 *
 * A slot's job has one bit for each recipient that has its result: every
 * recipient gets exactly one, and then the job its end, whatever the child does.
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

struct rslot {
  enum rslot_state state;
  pid_t pid; /* 0 once it was reaped */
  int fd;    /* a worker's socket, or the pipe that a program's report comes from; -1: ended */
  tain until;
  stralloc host; /* of a worker's last job, NUL-terminated */
  uint32_t idle; /* seconds that the worker may wait for another one */
  uint32_t num;  /* of the job */
  uint32_t nrcpts;
  uint32_t left; /* recipients without a result */
  unsigned char done[(JOB_RCPTS_MAX + 7) / 8];
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

/* Note the job and its time limit in the slot. */
extern void rslot_begin(struct rslot *s, struct job const *j);

/* Pass a result on to send. Exits when send takes nothing any more. 1, or 0
 * when the result does not belong to the job (number, index, letter, twice). */
extern int rslot_result(struct rspawn *r, struct rslot *s, uint32_t index, char letter,
                        char const *text, size_t len);

/* Pass a G or C on. */
extern void rslot_about(struct rspawn *r, struct job_packet const *p);

/* 'Z' with the text to every recipient without a result; then the job's end. */
extern void rslot_end(struct rspawn *r, struct rslot *s, char const *text);

/* 'Z' for a job that never had a slot. */
extern void rslot_refuse(struct rspawn *r, struct job const *j, char const *text);

#endif
