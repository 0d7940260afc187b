/* repair.h - mend a message's header as a submission server may (RFC 6409, 8)
 *
 * What is mended, and what stays:
 * - Fields with addresses (From, Sender, Reply-To, To, Cc, Resent- fields, ...) are completed where
 *   they stand: lib/addrfield.h. One that cannot be understood stays as it is, but From, Sender
 *   and the two with Resent-: with these, nobody could say whose the message is.
 * - Date, Message-ID and From are added when they are missing or empty; Sender, where From
 *   has several mailboxes (RFC 5322, 3.6.2); and "Cc: recipient list not shown: ;" without To and Cc.
 *   To a resent message, the fields with Resent- are added instead (3.6.6).
 * - A date that can be read is written as 3.3 wants it, another one stays.
 * - A second Date or Message-ID goes; a second From or Sender is refused, for readers differ
 *   about which one counts.
 * - Bcc and Resent-Bcc go: whom they name, others are not to know (3.6.3). Return-Path goes, which
 *   the last server writes (RFC 5321, 4.4); Content-Length, which is not true any more; and
 *   Apparently-To, which shows recipients of the envelope.
 * - Everything else stays byte for byte: 8-bit text, encoded words, folding, long lines, order.
 */
#ifndef PIPIT_OFMIPD_REPAIR_H
#define PIPIT_OFMIPD_REPAIR_H

#include <stddef.h>
#include <time.h>

#include <skalibs/stralloc.h>

#include "complete.h"

#define REPAIR_HEADER_MAX    1048576 /* bytes of a header as it comes, */
#define REPAIR_OUT_MAX       4194304 /* and of one that has been mended */
#define REPAIR_ADDRESSES_MAX 100000  /* in all fields together */
#define REPAIR_TEXT_MAX      240     /* bytes of a reply */

enum repair_right { REPAIR_MAY, REPAIR_MAY_NOT, REPAIR_TROUBLE };

struct repair {
  struct complete const *hosts;
  stralloc const *idhost;
  struct timespec now;
  char const *sender;    /* of the envelope, completed; not NUL-terminated */
  size_t senderlen;
  char const *name;      /* the From to be written has this name, whatever there was; or NULL */
  size_t namelen;
  char const *login;     /* who has logged in, NUL-terminated; or NULL */
  /* May he write as this address? NULL: as any. For REPAIR_TROUBLE the function has set <text>. */
  enum repair_right (*may_write_as)(void *data, char const *s, size_t len);
  void *data;
  /* The result: */
  stralloc out;          /* the header, without the empty line behind it */
  unsigned int code;     /* or what to answer */
  char const *status;
  char text[REPAIR_TEXT_MAX];
};

/* Mend the header s[0..len): fields only (lib/header.h). 1, or 0 with the answer. Replaces <out>,
 * which is the caller's to free. */
extern int repair_header(struct repair *r, char const *s, size_t len);

#endif
