/* getpw.h - look a local part up in the password database, by qmail-getpw's rules */
#ifndef PIPIT_GETPW_H
#define PIPIT_GETPW_H

#include <pwd.h>
#include <stddef.h>

#include "mailuser.h"

#define GETPW_BREAK   '-' /* ends the user's name; what follows is his extension */
#define GETPW_NAMELEN 31  /* bytes of a user's name; longer ones are not looked up */

/* Find the user with the longest name that local[0..len) is, or that is followed
 * in it by GETPW_BREAK; names are looked up in lower case. Only a user whose
 * uid is not 0, and who owns his home, gets mail. 1 and <u>; 0 when there is
 * no such user; -1 with errno when that cannot be told, because the password
 * database or the file system of a home does not answer, or memory is short. */
extern int getpw_find(char const *local, size_t len, struct mailuser *u);

/* The entry of the user <name>, whoever he is, with its strings in <*buf>, which is malloc's, or NULL at
 * first. 1; 0 when there is no such user; -1 with errno when that cannot be told. */
extern int getpw_entry(char const *name, struct passwd *pw, char **buf);

/* The uid and gid of the user <name>, whoever he is. 1; 0 when there is no such user; -1
 * with errno when that cannot be told. */
extern int getpw_ids(char const *name, uid_t *uid, gid_t *gid);

#endif
