/* session.h - fuzz-session's parts: the client and its socket, a queue that looks on, the model
 *
 * What the server says and what it hands to the queue is written down as
 * events, in order. Afterwards session-model.c reads the client's bytes by
 * itself and holds the events against them.
 */
#ifndef PIPIT_FUZZ_SESSION_H
#define PIPIT_FUZZ_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "submit.h"

#define ME          "mx.ok.example"
#define LOCALIPHOST "literal.ok.example"
#define SENT_MAX    65536 /* bytes that a client sends in all */
#define EVENTS_MAX  32768
#define POOL_MAX    4194304 /* bytes of all events together */
#define RCPTS_MAX   4       /* control/maxrcpt */
#define ERRORS_MAX  6       /* control/maxerrors, when it is small */

struct setup {
  int relay;
  char const *suffix; /* of RELAYCLIENT */
  int pipes;          /* no socket */
  int mend;
  int tiny;    /* what is read at once is short */
  int terse;   /* and what is written */
  int early;   /* the client speaks before it is greeted */
  int program; /* QMAILQUEUE */
  int tls;     /* can be had, over a socket */
  int no_rcpthosts;
  int submission; /* as pipit-ofmipd; ann logs in with "secret" */
  int end; /* how the client ends: 0 half closes, 1 closes, 2 falls silent */
  unsigned long maxline, databytes, maxerrors;
};

enum event_kind {
  EVENT_REPLY, /* text: the reply */
  EVENT_OPEN,  /* text: the trace; value: the announced size */
  EVENT_ROOM,
  EVENT_COMMIT, /* text: message, envelope; value: length of the message */
  EVENT_ABORT
};

struct event {
  enum event_kind kind;
  int result; /* of ROOM, OPEN: 1 or 0; of COMMIT: enum submit_result */
  uint64_t value;
  size_t text, len;
  size_t written; /* bytes that the client had written by then */
};

struct record { /* of one session */
  struct setup setup;
  char sent[SENT_MAX];
  size_t sentlen;
  int cut; /* the client has closed, or listens no more: bytes need not be answered */
  struct event events[EVENTS_MAX];
  size_t nevents;
  char pool[POOL_MAX];
  size_t poollen;
};

extern struct record rec;

extern void record_event(enum event_kind kind, int result, uint64_t value, char const *text,
                         size_t len);

/* session-queue.c: how the next messages fare. */
extern void queue_start(unsigned int behaviour);
extern void queue_behave(unsigned int behaviour);
extern int queue_is_idle(void); /* nothing is open, the connection is closed */

/* session-model.c: was all of it right? Of a submission: has nobody sent who may not, and is each header
 * whole? */
extern void model_check(void);
extern void model_check_submission(void);

#endif
