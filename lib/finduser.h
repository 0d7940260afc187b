/* finduser.h - who gets the mail for a local address
 *
 * First users/cdb, then the password database, then the alias account. Every
 * doubt is trouble: a mail user must never look like no user.
 */
#ifndef PIPIT_FINDUSER_H
#define PIPIT_FINDUSER_H

#include <stddef.h>

#include "accounts.h"
#include "cdbmap.h"
#include "mailuser.h"

/* What could not be told; none of these means that there is no such user. */
enum finduser {
  FINDUSER_OK,
  FINDUSER_CDB,    /* users/cdb is damaged or cannot be read */
  FINDUSER_GETPW,  /* the password database does not answer */
  FINDUSER_HOME,   /* a home cannot be looked at */
  FINDUSER_ALIAS,  /* the alias account cannot be found */
  FINDUSER_MEMORY
};

struct finduser_source {
  struct accounts const *accounts;
  char const *home;           /* of the instance, absolute */
  struct cdbmap_stamp *stamp; /* the users/cdb that was sound; see usersdb.h */
  /* getpw_find, or what asks another process that calls it. */
  int (*getpw)(char const *local, size_t len, struct mailuser *u);
};

/* Find out who gets mail for local[0..len), what stands before the last '@' after
 * send's rewriting. FINDUSER_OK and <u>, or why not; then a line with the details
 * is on descriptor 2. In an instance with one account the password database is not
 * asked, and an entry of users/cdb counts only with that account's uid and a home
 * below the instance. */
extern enum finduser finduser(struct finduser_source const *s, char const *local, size_t len,
                              struct mailuser *u);

/* The last of the three alone: the alias account. */
extern enum finduser finduser_alias(struct finduser_source const *s, char const *local, size_t len,
                                    struct mailuser *u);

#endif
