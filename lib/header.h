/* header.h - a message's header: collect it as it streams in, walk its fields (RFC 5322, 2.2)
 *
 * Lines end with LF here; whoever reads CRLF turns it into LF first. A field
 * is a line "name: ..." and the lines after it that begin with a space or tab;
 * blanks before the colon are accepted (4.5.8). The header ends at an empty
 * line, or before the first line that is no field: that line is body then.
 * A first line "From ..." as mbox files have it counts as a field without name.
 *
 *   struct header h = HEADER_ZERO(limit);
 *   while (!h.ended && (n = read(...)) > 0) used = header_feed(&h, bytes, n);
 *   header_finish(&h);
 *   for (size_t pos = 0; header_next(h.text.s, h.len, &pos, &f);) ...
 *   the body: h.text from h.len on, then bytes[used..n), then what is still to be read
 */
#ifndef PIPIT_HEADER_H
#define PIPIT_HEADER_H

#include <stddef.h>
#include <sys/types.h>

#include <skalibs/stralloc.h>

#define HEADER_NAME_MAX 1000 /* bytes before a colon; a line with more is no field */

enum header_name {
  HEADER_OTHER,
  HEADER_MBOX, /* the line "From ..." */
  HEADER_SENDER,
  HEADER_FROM,
  HEADER_REPLY_TO,
  HEADER_MAIL_REPLY_TO,
  HEADER_MAIL_FOLLOWUP_TO,
  HEADER_NOTICE_REQUESTED,
  HEADER_TO,
  HEADER_CC,
  HEADER_BCC,
  HEADER_APPARENTLY_TO,
  HEADER_DATE,
  HEADER_MESSAGE_ID,
  HEADER_RETURN_PATH,
  HEADER_RETURN_RECEIPT_TO,
  HEADER_ERRORS_TO,
  HEADER_CONTENT_LENGTH,
  HEADER_RESENT_SENDER, /* from here on: the fields that make a message a resent one */
  HEADER_RESENT_FROM,
  HEADER_RESENT_REPLY_TO,
  HEADER_RESENT_TO,
  HEADER_RESENT_CC,
  HEADER_RESENT_BCC,
  HEADER_RESENT_DATE,
  HEADER_RESENT_MESSAGE_ID,
  HEADER_NAMES
};

struct header {
  stralloc text; /* the lines taken so far */
  size_t len;    /* of these, the header: whole fields, without the empty line */
  size_t max;    /* bytes of a header that are accepted */
  int ended;     /* 1: the header is whole */
  int empty;     /* 1: it ended with an empty line (which is not in text) */
  int state;     /* private */
};
#define HEADER_ZERO(limit) { .text = STRALLOC_ZERO, .max = (limit) }

/* Take the header's bytes out of s[0..len). Returns how many were taken: all,
 * or fewer when the header has ended; bytes of a first body line that were
 * taken before that was clear stay in text, behind <len>. -1 with errno:
 * EMSGSIZE (the header is longer than max), ENOMEM. */
extern ssize_t header_feed(struct header *h, char const *s, size_t len);

/* The message has ended: end an unfinished last line, and the header with it.
 * 1, or 0 with errno as above. */
extern int header_finish(struct header *h);

struct header_field {
  char const *s;         /* the whole field, with all its line ends */
  size_t len;
  size_t namelen;        /* of the name, without blanks before the colon; 0 for HEADER_MBOX */
  size_t value;          /* where the value begins, right after the colon */
  enum header_name name;
};

/* The field at <*pos> of the header s[0..len), and move <*pos> behind it.
 * 1, or 0 at the end. */
extern int header_next(char const *s, size_t len, size_t *pos, struct header_field *f);

/* Which field is that? Compared without regard to ASCII case. */
extern enum header_name header_classify(char const *name, size_t len);

#endif
