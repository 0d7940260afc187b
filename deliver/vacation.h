/* vacation.h - what the modules of pipit-vacation share */
#ifndef PIPIT_VACATION_H
#define PIPIT_VACATION_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#include "mailhead.h"

#define VACATION_SENDER_MAX 320     /* bytes of an address that is answered */
#define VACATION_TEXT_MAX   1048576 /* bytes of the text of an answer */

struct vacation {
  char const *sender;  /* of the message, who gets the answer */
  char const *file;    /* the answer's text, often with a header */
  char const *memory;  /* who was answered when */
  char const *subject; /* of the answer, or NULL */
  stralloc own;        /* own addresses, each with a NUL: whole, or a local part at any domain */
  uint64_t interval; /* seconds in which a sender gets <count> answers */
  uint64_t count;
  uint64_t hourly;  /* answers to all senders in an hour */
  int percent;      /* %S, %s, %r are replaced in the text; else $SUBJECT only */
  int any;          /* answer also what is not addressed to an own address */
  stralloc address; /* the own address that the message went to, with its NUL */
};

/* Must a sender never be answered? NULL, or why. */
extern char const *vacation_bad_sender(char const *sender, stralloc const *own);

/* The same of the message's header. Without a reason, v->address is set. */
extern char const *vacation_bad_header(struct vacation *v, struct mailhead const *m);

/* Remember that the sender is answered at the time <now>. NULL; or why he is not. */
extern char const *vacation_remember(struct vacation const *v, int64_t now);

/* Append the answer, but for Date and Message-ID, which go before it. <text> is what v->file has;
 * it is changed. */
extern void vacation_compose(struct vacation const *v, struct mailhead const *m, stralloc *text,
                             stralloc *reply);

#endif
