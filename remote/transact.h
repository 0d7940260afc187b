/* transact.h - one message in an SMTP or LMTP session */
#ifndef PIPIT_REMOTE_TRANSACT_H
#define PIPIT_REMOTE_TRANSACT_H

#include <skalibs/stralloc.h>

#include "conn.h"
#include "rcpts.h"
#include "message.h"
#include "outcome.h"
#include "settings.h"

struct transaction {
  /* The caller's. */
  struct conn *c;
  struct settings const *s;
  struct envelope *e; /* its present recipients */
  struct message *m;
  struct outcome *o;
  int fresh; /* the first one on a connection that was made for it */
  /* Its own, all 0 at the start. */
  stralloc commands;
  int ahead;       /* the commands went out behind the message before, ... */
  size_t sent;     /* ... so many bytes of them, or all before they are needed */
  size_t before;   /* 1: RSET is the first command */
  size_t step;     /* commands that were answered */
  int mail;        /* code of the answer to MAIL, 0 before it */
  int data;        /* of the answer to DATA */
  size_t accepted; /* recipients */
  size_t judged;   /* LMTP: recipients up to the last one that has its reply to the message */
  int text;        /* some of the message may have been sent */
};

enum transact_result {
  TRANSACT_DONE, /* the verdicts hold */
  TRANSACT_LOST, /* the connection broke, or 421 came, before MAIL was answered; or, where
                    it is not fresh, before any of the message was sent */
  TRANSACT_LATER /* MAIL was answered with 4yz */
};

/* Which transaction comes next on the connection? It is asked for when only the end
 * of this one's message is left to be sent. One that transact_prepare() said 1 for,
 * or NULL: it is not known, or its commands have to wait. */
typedef struct transaction *transact_next_func(void *arg);

/* Write down the commands of a transaction that may go out behind the message before
 * it. 1, or 0 when it cannot: it is as if nothing had been asked. */
extern int transact_prepare(struct transaction *t);

/* Send the message; its verdict, and those of recipients that were refused, go
 * to t->o in every case. With PIPELINING the envelope and DATA are one write, and
 * where the next transaction is known, so are the end of the message and that one's
 * (its <ahead> is set then). <next> may be NULL. The connection is closed when it
 * cannot be used any more. */
extern enum transact_result transact(struct transaction *t, transact_next_func *next, void *arg);

#endif
