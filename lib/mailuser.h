/* mailuser.h - who gets the mail for a local address: the result of users/mailboxes.cdb,
 * users/cdb, the password database or the alias account
 */
#ifndef PIPIT_MAILUSER_H
#define PIPIT_MAILUSER_H

#include <sys/types.h>

#include <skalibs/stralloc.h>

struct mailuser {
  uid_t uid;
  gid_t gid;
  char const *user; /* these six point into text */
  char const *home;
  char const *dash;
  char const *ext;
  char const *delivery; /* NULL: dot-qmail files say what to do; else these lines do */
  char const *quota;    /* of the Maildir in delivery, as Maildir++ writes it; "": none */
  stralloc text;
};
#define MAILUSER_ZERO                                                                              \
  {                                                                                                \
    .text = STRALLOC_ZERO                                                                          \
  }

/* Fill in <u> with copies of the strings; ext is ext[0..extlen). 1, or 0 with ENOMEM. */
extern int mailuser_set(struct mailuser *u, uid_t uid, gid_t gid, char const *user,
                        char const *home, char const *dash, char const *ext, size_t extlen);

/* The same for one without dot-qmail files. */
extern int mailuser_set_delivery(struct mailuser *u, uid_t uid, gid_t gid, char const *user,
                                 char const *home, char const *delivery, char const *quota);

/* Fill in <u> with what another one had: its uid and gid, and its text. 1, or 0 with ENOMEM, or
 * EINVAL where text is none of that kind. */
extern int mailuser_restore(struct mailuser *u, uid_t uid, gid_t gid, char const *text, size_t len);

#endif
