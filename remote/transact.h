/* transact.h - one message in an SMTP session */
#ifndef PIPIT_REMOTE_TRANSACT_H
#define PIPIT_REMOTE_TRANSACT_H

#include <skalibs/stralloc.h>

#include "conn.h"
#include "message.h"
#include "outcome.h"
#include "settings.h"

struct envelope { /* as the server will be told */
  stralloc sender; /* what stands between < and > */
  int body8;       /* the message came with BODY=8BITMIME */
  stralloc params; /* of MAIL for a server that offers DSN: " RET=HDRS ..." */
  stralloc rcpts;  /* "<addr>", a newline and the same of RCPT in their order, each NUL-terminated */
  size_t nrcpts;   /* in rcpts */
  size_t *index;   /* nrcpts numbers: which of the outcome's recipients it is */
};
#define ENVELOPE_ZERO \
  { .sender = STRALLOC_ZERO, .params = STRALLOC_ZERO, .rcpts = STRALLOC_ZERO, .index = 0 }

enum transact_result {
  TRANSACT_DONE, /* the verdicts hold */
  TRANSACT_LOST, /* the connection broke, or 421 came, before MAIL was answered */
  TRANSACT_LATER /* MAIL was answered with 4yz */
};

/* Send the message; its verdict, and those of recipients that were refused, go
 * to <o> in every case. With PIPELINING the envelope and DATA are one write.
 * The connection is closed when it cannot be used any more. */
extern enum transact_result transact(struct conn *c, struct settings const *s,
                                     struct envelope const *e, struct message *m,
                                     struct outcome *o);

#endif
