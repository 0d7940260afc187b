/* mailbox-line.h - lines of users/mailboxes: pipit-mailboxes(5) */
#ifndef PIPIT_MAILBOX_LINE_H
#define PIPIT_MAILBOX_LINE_H

#include <stddef.h>
#include <sys/types.h>

#include <skalibs/stralloc.h>

/* The account of the last line with '*'. */
struct mailbox_defaults {
  int given;
  uid_t uid;
  gid_t gid;
  stralloc user; /* NUL-terminated, as the next two */
  stralloc base;
  stralloc quota;
};
#define MAILBOX_DEFAULTS_ZERO                                                                      \
  {                                                                                                \
    .given = 0, .user = STRALLOC_ZERO, .base = STRALLOC_ZERO, .quota = STRALLOC_ZERO               \
  }

/* A line with '=', '&' or '+'. */
struct mailbox_line {
  char kind;       /* 0: there is nothing to put into the table */
  stralloc addr;   /* the address, in lower case; with '+' it is @domain */
  size_t at;       /* where its last '@' is */
  stralloc fields; /* as lib/mailboxes.h has them */
};
#define MAILBOX_LINE_ZERO                                                                          \
  {                                                                                                \
    .addr = STRALLOC_ZERO, .fields = STRALLOC_ZERO                                                 \
  }

/* Read the line s[0..len), without blanks at its end and without NUL, into <l>, or into <d>.
 * NULL, or what is wrong with it. */
extern char const *mailbox_line(struct mailbox_line *l, struct mailbox_defaults *d, char const *s,
                                size_t len);

#endif
