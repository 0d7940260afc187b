/* forward.h - queue a message again for the addresses of a dot-qmail file
 *
 * What the sender asked about notices of delivery (RFC 3461) goes with it, as X records of pipit's
 * own queue: section 5.2.7 of the RFC. A QMAILQUEUE program gets nothing of it.
 */
#ifndef PIPIT_FORWARD_H
#define PIPIT_FORWARD_H

#include <stddef.h>
#include <stdint.h>

#include "delivery.h"
#include "dotqmail.h"
#include "message.h"
#include "report.h"

struct wishes { /* X records as in a job, "name=value\0" ... */
  char const *message, *rcpt; /* of the message, and of the recipient */
  size_t messagelen, rcptlen;
};

enum forward_kind {
  FORWARD_ALIAS, /* for one other address, and nothing else was done: all wishes go on with it */
  FORWARD_COPIES, /* of that the sender hears here: nobody else tells him of a success */
  FORWARD_LIST   /* it has another sender, who did not ask for anything */
};

struct forward {
  struct delivery const *d;
  struct message const *m; /* kept */
  struct dotqmail const *q;
  size_t n;                /* the forwards are among so many of its instructions */
  char const *sender;
  struct wishes wishes;
  enum forward_kind kind;
};

/* Queue the message, below our Delivered-To line. 1 and <*qp>, the id in the queue (of a
 * QMAILQUEUE program the process id); <*passed> says whether the queue got the wishes. Or 0 and <r>. */
extern int forward_send(struct forward const *f, uint64_t *qp, int *passed, struct report *r);

#endif
