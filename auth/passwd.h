/* passwd.h - users/passwd, and users/passwd.cdb, which pipit-passwd makes of it
 *
 * Lines login:secret:uid:gid:gecos:home:shell:more, as Dovecot's passwd-file has them; fields at
 * the end may be missing. Without a uid the login's mailbox is the one that users/mailboxes has for
 * it as an address; where there is none it can send only.
 *
 * The cdb: key the login in lower case; value a CRC-32C of key and fields, 4 bytes, the last
 * significant first, then secret\0uid\0gid\0home\0shell\0. Key "": the same of
 * PASSWD_FORMAT\0flags\0seed\0dummy\0, of which flags is "s" where every login has keys of SCRAM,
 * seed is random, and dummy is a secret to be checked where there is no login.
 */
#ifndef PIPIT_AUTH_PASSWD_H
#define PIPIT_AUTH_PASSWD_H

#include <stddef.h>
#include <sys/types.h>

#include <skalibs/stralloc.h>

#define PASSWD_TEXT    "users/passwd"
#define PASSWD_CDB     "users/passwd.cdb"
#define PASSWD_FORMAT  "pipit passwd 1"
#define PASSWD_SUM     4
#define PASSWD_LINE_MAX 4096
#define PASSWD_FIELDS  8 /* of a line */

struct passwd_entry {
  char const *secret; /* these point into text */
  int has_user; /* 0: see above */
  uid_t uid;
  gid_t gid;
  char const *home, *shell;
  stralloc text;
};

struct passwd_head {
  char const *flags, *seed, *dummy;
  stralloc text;
};
#define PASSWD_ZERO                                                                                \
  {                                                                                                \
    .text = STRALLOC_ZERO                                                                          \
  }

/* Read the head of the instance's file: 1; 0 there is no file; -1 with errno (EPROTO: damaged). */
extern int passwd_head(struct passwd_head *h);

/* Find login[0..len). 1 and <e>; 0 there is no such login; -1 with errno. */
extern int passwd_find(struct passwd_entry *e, char const *login, size_t len);

/* The sum that belongs before the fields s[0..len) of <key>. */
extern void passwd_sum(char sum[PASSWD_SUM], char const *key, size_t klen, char const *s, size_t len);

/* May it be a login: 1 to AUTHWIRE_LOGIN_MAX bytes, none of them a control character, a space or a
 * colon, and not "#" at its beginning. */
extern int passwd_is_login(char const *s, size_t len);

#endif
