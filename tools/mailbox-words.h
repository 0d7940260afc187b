/* mailbox-words.h - what stands between the colons of users/mailboxes
 *
 * Functions return NULL, or what is wrong, as a text for a person.
 */
#ifndef PIPIT_MAILBOX_WORDS_H
#define PIPIT_MAILBOX_WORDS_H

#include <stddef.h>
#include <sys/types.h>

#include <skalibs/stralloc.h>

#define WORDS_MAX 5 /* of a line */

/* A copy of a line with NULs for colons. */
struct words {
  stralloc text;
  char const *word[WORDS_MAX]; /* "" where it is left out */
};

/* Cut s[0..len) at its colons into at most <max> words; one more colon may end the line. */
extern char const *words_cut(struct words *p, int max, char const *s, size_t len);

/* Is it an address, or with <catchall> also what only begins with '@'? No byte in it may
 * mean something else to a program that reads lists of addresses or lines. */
extern char const *words_address(char const *s, size_t len, int catchall);

/* Is it a quota of Maildir++? */
extern char const *words_quota(char const *s);

/* Is it a path below another one: no part of it is empty, "." or ".."? */
extern char const *words_path(char const *s);

/* The uid of <user>, by name or number, and the gid of <group>, or that of the user. */
extern char const *words_ids(char const *user, char const *group, uid_t *uid, gid_t *gid);

#endif
