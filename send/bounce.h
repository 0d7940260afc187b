/* bounce.h - tell the sender what became of a message: failures, delays, successes
 *
 * A report is a delivery status notification (RFC 3464) in a multipart/report
 * (RFC 6522): a text for people in qmail's manner, a part for machines, and the
 * original message or its header. Whom it tells of is decided by NOTIFY (RFC
 * 3461): failures unless something else was asked for, successes when they were.
 * The whole message comes back with failures only, and when neither RET=HDRS nor
 * control/bouncemaxbytes is against it.
 * What remote servers said is cleaned: no control characters, UTF-8 or '?',
 * short lines.
 */
#ifndef PIPIT_SEND_BOUNCE_H
#define PIPIT_SEND_BOUNCE_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#include "dsn.h"
#include "qfile.h"

#define BOUNCE_COPY_MAX   51200    /* bouncemaxbytes' default: an original that is sent back whole */
#define BOUNCE_COPY_LIMIT 67108864 /* and the most it may be */
#define BOUNCE_HEAD_MAX   51200    /* bytes of a header that are sent back */
#define BOUNCE_TEXT_MAX   4194304  /* bytes of all reports; past it each is cut to BOUNCE_SHORT */
#define BOUNCE_SHORT      80
#define BOUNCE_LINE_MAX   900      /* bytes of a line in the text (RFC 5322: 998) */
#define BOUNCE_STATUS_MAX 16       /* bytes of "5.7.128" and its NUL */

#define BOUNCE_TOO_LONG                                                                            \
  "I'm not going to try again; this message has been in the queue too long.\n"

/* Behind the text of a delay, before a date of RFC 5322. */
#define BOUNCE_UNTIL "I'll keep trying until "

enum bounce_kind {
  BOUNCE_SINGLE, /* to the sender, with the null sender */
  BOUNCE_DOUBLE, /* of a message with the null sender: to doublebounceto, sender #@[] */
  BOUNCE_TRIPLE  /* of one with the sender #@[]: none is made */
};
enum bounce_time {
  BOUNCE_END, /* the message is finished: what failed, what arrived */
  BOUNCE_LATE /* it is not: what is late */
};

struct bounce_rcpt {
  uint32_t index;
  uint32_t when;      /* seconds since the epoch of its last attempt; 0: not known */
  char action;        /* state.h */
  size_t addr, text;  /* where they begin in <bytes>; both end with a NUL */
  size_t textlen;
  size_t orcpt;       /* ORCPT's value in <bytes>, with a NUL; 0: none */
};
struct bounce { /* what a report is made of */
  enum bounce_time time;
  stralloc sender; /* of the original, NUL-terminated, NUL not counted */
  stralloc bytes;
  struct bounce_rcpt *rcpts; /* by index, rising */
  size_t count, room;
  size_t failed;     /* those of them that failed */
  enum dsn_ret ret;
  stralloc envid;    /* ENVID's value; empty: none */
  stralloc copy;     /* the original, or its header */
  int header_only;
  int64_t arrival;   /* seconds since the epoch */
  unsigned long copymax; /* control/bouncemaxbytes */
  stralloc from, host, to, doubleto; /* addresses and names, NUL-terminated */
  char const *why;   /* the control file that could not be used, or NULL */
};

extern enum bounce_kind bounce_kind(char const *sender, size_t len);

/* Read the original <fd>, what is to be reported from the state file <statefd>, and
 * the control files bouncefrom, bouncehost, doublebounceto, doublebouncehost,
 * bouncemaxbytes. 1, with b->count 0 when there is nothing to tell; or 0 with errno
 * and perhaps b->why. <b> is zeroed before by the caller. */
extern int bounce_gather(struct bounce *b, int fd, struct qfile const *q, int statefd,
                         enum bounce_time time);

/* Append the report's text. <id> makes its Message-ID, <boundary> its parts. 1,
 * or 0 with ENOMEM. */
extern int bounce_write(struct bounce const *b, stralloc *out, char const *boundary, uint64_t id,
                        int64_t now);
extern void bounce_free(struct bounce *b);

/* bounce_status.c: append the part for machines. 1, or 0 with ENOMEM. */
extern int bounce_write_status(struct bounce const *b, stralloc *out);

/* bounce_put.c: append printable ASCII for a field of at most BOUNCE_FIELD_MAX bytes; an address as
 * a header or a person wants it; a date and a newline. 1, or 0 with ENOMEM. */
#define BOUNCE_FIELD_MAX 800
extern int bounce_put(stralloc *out, char const *s, size_t len);
extern int bounce_put_address(stralloc *out, char const *addr);
extern int bounce_put_date(stralloc *out, int64_t when);

/* report.c: what the report of a delivery says. */

/* Find an enhanced status code (RFC 3463) in a report: its length, and where it
 * begins in <*at>; 0 when there is none. */
extern size_t bounce_status(char const *text, size_t len, size_t *at);
/* Find the name of the server whose words are in a report, in the same way. */
extern size_t bounce_host(char const *text, size_t len, size_t *at);
/* Find the address of the server that a report speaks of, in the same way. */
extern size_t bounce_remote(char const *text, size_t len, size_t *at);
/* Find the date behind BOUNCE_UNTIL in the last line, in the same way. */
extern size_t bounce_until(char const *text, size_t len, size_t *at);
/* Find what the server said, in the same way, to the end of the text. */
extern size_t bounce_said(char const *text, size_t len, size_t *at);
/* The status of a recipient with this action and text: the server's own enhanced
 * code, the class of its reply, or what pipit's text says. */
extern void bounce_judge(char out[BOUNCE_STATUS_MAX], char action, char const *text, size_t len);
/* Was local mail delivered, or only forwarded? One of state.h's three actions. */
extern char bounce_local_action(char const *text, size_t len);

#endif
