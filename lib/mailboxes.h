/* mailboxes.h - look an address up in users/mailboxes.cdb, which pipit-newmailboxes writes
 *
 * Keys, in lower case: "@<domain>" for each domain of which there is an address;
 * "+<domain>" where its other addresses are looked up elsewhere; "!<local>@<domain>" an
 * address; "!@<domain>" all others of a domain; "" holds MAILBOXES_FORMAT. Values: a
 * CRC-32C of key and fields, 4 bytes, the last significant first; then the fields, for
 * an address user\0uid\0gid\0home\0quota\0delivery\0, of which a forward leaves all but
 * the last empty. <delivery> is "./path/" or lines "&address".
 */
#ifndef PIPIT_MAILBOXES_H
#define PIPIT_MAILBOXES_H

#include <stddef.h>
#include <sys/types.h>

#include <skalibs/stralloc.h>

#include "cdbmap.h"

#define MAILBOXES_FORMAT       "pipit mailboxes 1"
#define MAILBOXES_BREAK        '+'   /* ends the name of a mailbox; what follows is a tag */
#define MAILBOXES_DELIVERY_MAX 65536 /* bytes of <delivery>: it is an argument of a program */

struct mailbox {
  int forward; /* no mailbox, but other addresses: there is only <delivery> */
  uid_t uid;
  gid_t gid;
  char const *user; /* these point into text */
  char const *home;
  char const *quota;
  char const *delivery;
  stralloc text;
};
#define MAILBOX_ZERO                                                                               \
  {                                                                                                \
    .text = STRALLOC_ZERO                                                                          \
  }

#define MAILBOXES_ELSEWHERE 0
#define MAILBOXES_FOUND     1
#define MAILBOXES_NONE      2

/* Look addr[0..len) up in the file <path> relative to <dirfd>: the address itself,
 * without its tags (ann+x+y, ann+x, ann), or all others of its domain. MAILBOXES_FOUND
 * and <m>; MAILBOXES_NONE: the domain stands in the file, and has no such address;
 * MAILBOXES_ELSEWHERE: it does not, or its other addresses are looked up elsewhere, or
 * there is no file; -1 with errno when that cannot be told: EPROTO for a damaged file,
 * ENOMEM, or the error of open or read. <stamp> spares sound files a second walk; see
 * cdbmap_verify. */
extern int mailboxes_find(int dirfd, char const *path, char const *addr, size_t len,
                          struct cdbmap_stamp *stamp, struct mailbox *m);

/* For who writes the file: set <key> to <kind> and addr[0..len) in lower case. 1, or 0
 * with ENOMEM. */
extern int mailboxes_key(stralloc *key, char kind, char const *addr, size_t len);

/* Put the sum that belongs before the fields s[0..len) of <key> into <sum>. */
#define MAILBOXES_SUM 4
extern void mailboxes_sum(char sum[MAILBOXES_SUM], stralloc const *key, char const *s, size_t len);

#endif
