/* outcome.h - what became of a message and each of its recipients, as qmail-remote reports it
 *
 * A recipient is 'r' (accepted: the message's letter counts for it), 'h' (refused
 * for good) or 's' (refused for now); 0 while nothing is known, which the
 * message's letter decides as well. The message is 'K', 'Z' or 'D'. Where it went
 * out in several transactions, or by LMTP, a recipient whose message was accepted is
 * 'K', with that one's text. Texts have no control characters but newlines.
 */
#ifndef PIPIT_REMOTE_OUTCOME_H
#define PIPIT_REMOTE_OUTCOME_H

#include <stddef.h>

#include <skalibs/stralloc.h>

#include "smtpreply.h"

struct verdict {
  char letter;
  size_t at, len; /* of the text in outcome.text */
};

struct outcome {
  struct verdict message;
  char trouble; /* JOB_HOST, JOB_NAMES or JOB_LOGIN (job.h) when the message's verdict is that; else 0 */
  struct verdict *rcpts;
  size_t nrcpts;
  int dsn;   /* the server that accepted the message offers DSN */
  int final; /* it has delivered it (LMTP), not just taken it */
  char const *tls;  /* what was spoken with the server, of struct conn; "" or NULL: nothing to tell */
  char const *host; /* the name of the server that is spoken to now; "" or NULL: not known */
  stralloc text;
};
#define OUTCOME_ZERO { .rcpts = 0, .nrcpts = 0, .text = STRALLOC_ZERO }

/* Forget everything, and make room for <n> recipients. 1, or 0 with ENOMEM. */
extern int outcome_start(struct outcome *o, size_t n);

/* Set the message's letter and text. Without memory: 'Z' and no text. */
extern void outcome_message(struct outcome *o, char letter, char const *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with "Remote host said: " and the reply after it, and before these, unless it is 'K', "Remote
 * host is <name>.\n". */
extern void outcome_message_said(struct outcome *o, char letter, struct smtpreply const *said,
                                 char const *format, ...) __attribute__((format(printf, 4, 5)));
/* Set a recipient's in the same way; <said> may be NULL. Without memory: 's' and no text. */
extern void outcome_rcpt(struct outcome *o, size_t i, char letter, struct smtpreply const *said,
                         char const *format, ...) __attribute__((format(printf, 5, 6)));

/* The message's verdict, as it is now, becomes that of recipient <i>, if it counts for it. */
extern void outcome_settle(struct outcome *o, size_t i);
/* Nothing more comes: if anybody got the message, its verdict is 'K'. */
extern void outcome_finish(struct outcome *o);

/* What counts for recipient <i> alone: 'K', 'Z' or 'D', and its text. */
extern char outcome_of(struct outcome const *o, size_t i, char const **text, size_t *len);

#endif
