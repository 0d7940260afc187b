/* usersdb.h - look a local part up in users/cdb, in the format that qmail-newu writes
 *
 * Keys: "" holds the last characters of all wildcards; "!<local>\0" in lower
 * case a single address; "!<prefix>" in lower case a wildcard ("!" alone: the
 * catch-all). Values: user\0uid\0gid\0home\0dash\0ext without a final NUL; for a
 * wildcard the rest of the address, in its own case, is appended to ext.
 */
#ifndef PIPIT_USERSDB_H
#define PIPIT_USERSDB_H

#include <stddef.h>

#include "cdbmap.h"
#include "mailuser.h"

/* Look local[0..len) up in the file <path> relative to <dirfd>. 1 and <u>; 0 when
 * there is no such file or no entry for it; -1 with errno when that cannot be
 * told: EPROTO for a damaged file or entry, ENOMEM, or the error of open or
 * read. <stamp> spares sound files a second walk; see cdbmap_verify. */
extern int usersdb_find(int dirfd, char const *path, char const *local, size_t len,
                        struct cdbmap_stamp *stamp, struct mailuser *u);

#endif
