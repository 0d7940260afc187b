/* bounce.h - tell the sender what could not be delivered
 *
 * A bounce is a delivery status notification (RFC 3464) in a multipart/report
 * (RFC 6522): a text for people in qmail's manner, a part for machines, and
 * the original message, or only its header when it is over BOUNCE_COPY_MAX.
 * What remote servers said is cleaned: no control characters, UTF-8 or '?',
 * short lines.
 */
#ifndef PIPIT_SEND_BOUNCE_H
#define PIPIT_SEND_BOUNCE_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#include "qfile.h"

#define BOUNCE_COPY_MAX  50000   /* bytes of an original that is sent back whole */
#define BOUNCE_TEXT_MAX  4194304 /* bytes of all reports; past it each is cut to BOUNCE_SHORT */
#define BOUNCE_SHORT     80
#define BOUNCE_LINE_MAX  900     /* bytes of a line in the text (RFC 5322: 998) */

#define BOUNCE_TOO_LONG                                                                            \
  "I'm not going to try again; this message has been in the queue too long.\n"

enum bounce_kind {
  BOUNCE_SINGLE, /* to the sender, with the null sender */
  BOUNCE_DOUBLE, /* of a message with the null sender: to doublebounceto, sender #@[] */
  BOUNCE_TRIPLE  /* of one with the sender #@[]: none is made */
};

struct bounce_failure {
  uint32_t index;
  size_t addr, text; /* where they begin in <bytes>; both end with a NUL */
  size_t textlen;
};
struct bounce { /* what a bounce is made of */
  stralloc sender; /* of the original, NUL-terminated, NUL not counted */
  stralloc bytes;
  struct bounce_failure *failures; /* by index, rising */
  size_t count, room;
  stralloc copy;     /* the original, or its header */
  int header_only;
  int64_t arrival;   /* seconds since the epoch */
  stralloc from, host, to, doubleto; /* addresses and names, NUL-terminated */
  char const *why;   /* the control file that could not be used, or NULL */
};

extern enum bounce_kind bounce_kind(char const *sender, size_t len);

/* Read the original <fd>, the failures in the state file <statefd>, and the
 * control files bouncefrom, bouncehost, doublebounceto, doublebouncehost. 1, or
 * 0 with errno and perhaps b->why. <b> is zeroed before by the caller. */
extern int bounce_gather(struct bounce *b, int fd, struct qfile const *q, int statefd);

/* Append the bounce's text. <id> makes its Message-ID, <boundary> its parts. 1,
 * or 0 with ENOMEM. */
extern int bounce_write(struct bounce const *b, stralloc *out, char const *boundary, uint64_t id,
                        int64_t now);
extern void bounce_free(struct bounce *b);

/* Find an enhanced status code (RFC 3463) in a report: its length, and where it
 * begins in <*at>; 0 when there is none. */
extern size_t bounce_status(char const *text, size_t len, size_t *at);
/* Find the address of the server that a report speaks of, in the same way. */
extern size_t bounce_remote(char const *text, size_t len, size_t *at);
/* Find what the server said, in the same way, to the end of the text. */
extern size_t bounce_said(char const *text, size_t len, size_t *at);

#endif
