/* rcpts.h - sender and recipients of a job as a server will be told, transaction by transaction */
#ifndef PIPIT_REMOTE_RCPTS_H
#define PIPIT_REMOTE_RCPTS_H

#include <stddef.h>

#include <skalibs/stralloc.h>

#include "job.h"
#include "outcome.h"
#include "peerlimits.h"

#define ENVELOPE_DOMAIN_MAX 255 /* bytes of a domain */

struct envelope_rcpt {
  size_t index; /* which of the outcome's recipients it is */
  size_t at;    /* in paths, of "<addr>" and what RCPT has behind it for a server that offers DSN */
  int again;    /* it was one too many: its turn is in a further transaction */
  int put_off;  /* that has happened to it */
};

struct envelope {
  stralloc sender; /* what stands between < and > */
  int body8;       /* the message came with BODY=8BITMIME */
  stralloc params; /* of MAIL for a server that offers DSN: " RET=HDRS ..." */
  stralloc paths;  /* "<addr>", " NOTIFY=..." ..., each NUL-terminated */
  struct envelope_rcpt *rcpts;
  size_t nrcpts;
  size_t first, count; /* those of the present transaction; those before had theirs */
  unsigned int splits; /* further transactions that were needed for those that were too many */
};

struct envelope_domains { /* of the recipients that a connection has been told; all 0 at its start */
  char last[ENVELOPE_DOMAIN_MAX + 1];
  unsigned int count; /* as many at most */
};

/* Write the addresses of <j> as SMTP wants them; one that must not be sent is
 * refused in <o>. 1 with at least one left; 0 with the verdicts. */
extern int envelope_build(struct envelope *e, struct job const *j, struct outcome *o);

/* Begin the next transaction: as many recipients as <l> allows. Their number;
 * 0 where the connection has seen as many domains as it may. */
extern size_t envelope_begin(struct envelope *e, struct peerlimits const *l,
                             struct envelope_domains *d);

/* Is there no recipient for another one, as far as is known by now? */
extern int envelope_is_last(struct envelope const *e);

/* The transaction is over: the message's verdict holds for its recipients, apart
 * from those that were refused, and those that were one too many, whose turn comes next. */
extern void envelope_end(struct envelope *e, struct outcome *o);

/* Forget the verdicts of this and all further transactions. */
extern void envelope_forget(struct envelope const *e, struct outcome *o);

#endif
