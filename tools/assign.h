/* assign.h - lines of users/assign as records of users/cdb; see lib/usersdb.h for the format */
#ifndef PIPIT_ASSIGN_H
#define PIPIT_ASSIGN_H

#include <stddef.h>

#include <skalibs/stralloc.h>

struct assign {
  stralloc key;
  stralloc value;
  stralloc wild; /* last characters of wildcards so far: the value of the key "" */
  char const *doubt; /* what of this line makes it useless, or NULL */
};
#define ASSIGN_ZERO                                                                                \
  {                                                                                                \
    .key = STRALLOC_ZERO, .value = STRALLOC_ZERO, .wild = STRALLOC_ZERO, .doubt = 0                \
  }

/* Make key and value of the line s[0..len), without its newline, by qmail-newu's rules: what
 * begins with '+' is a wildcard, all else a simple assignment. NULL, or what is wrong with it. */
extern char const *assign_line(struct assign *a, char const *s, size_t len);

#endif
