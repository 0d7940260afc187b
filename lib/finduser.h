/* finduser.h - who gets the mail for a local address
 *
 * First users/mailboxes.cdb, then users/cdb, then the password database, then the
 * alias account. Every doubt is trouble: a mail user must never look like no user.
 */
#ifndef PIPIT_FINDUSER_H
#define PIPIT_FINDUSER_H

#include <stddef.h>

#include "accounts.h"
#include "cdbmap.h"
#include "mailuser.h"

enum finduser {
  FINDUSER_OK,
  FINDUSER_NONE, /* there is no such mailbox: its domain stands in users/mailboxes */
  /* What could not be told; none of these means that there is no such user. */
  FINDUSER_MAILBOXES, /* users/mailboxes.cdb is damaged or cannot be read, or not heeded */
  FINDUSER_CDB,       /* users/cdb is damaged or cannot be read */
  FINDUSER_GETPW,     /* the password database does not answer */
  FINDUSER_HOME,      /* a home cannot be looked at */
  FINDUSER_ALIAS,     /* the alias account cannot be found */
  FINDUSER_MEMORY,
  FINDUSER_ASKED /* nothing yet: getpw has asked somebody; call again when he has answered */
};

/* The users/mailboxes.cdb and the users/cdb that were sound; see cdbmap_verify. Zeros at first. */
struct finduser_stamps {
  struct cdbmap_stamp mailboxes;
  struct cdbmap_stamp users;
};

struct finduser_source {
  struct accounts const *accounts;
  char const *home; /* of the instance, absolute */
  struct finduser_stamps *stamps;
  /* getpw_find; or what asks another process that calls it: 2 when that has not answered yet. */
  int (*getpw)(char const *local, size_t len, struct mailuser *u);
};

/* Find out who gets mail for the address addr[0..len), as send's rewriting left it.
 * FINDUSER_OK and <u>; FINDUSER_NONE; or why that could not be told, and then a line
 * with the details is on descriptor 2. For all but the mailboxes, the user is that of
 * what stands before the last '@', and a dot-qmail file has to say if there is such an
 * address. In an instance with one account the password database is not asked, and an
 * entry of users/cdb counts only with that account's uid and a home below the instance;
 * of users/mailboxes.cdb, another one is trouble. */
extern enum finduser finduser(struct finduser_source const *s, char const *addr, size_t len,
                              struct mailuser *u);

/* Fill in the stamps of both files as they are now, zeros for one that is not there.
 * 1, or 0 when that cannot be told. Whoever keeps what finduser said compares them. */
extern int finduser_look(struct finduser_stamps *now);

#endif
