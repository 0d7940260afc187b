/* sizefile.h - the file maildirsize of Maildir++, as text
 *
 * Its first line is the quota, each other one a number of bytes and one of messages, which are
 * added up. Dovecot, Courier IMAP and vpopmail read and write it too.
 */
#ifndef PIPIT_SIZEFILE_H
#define PIPIT_SIZEFILE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "quota.h"

#define SIZEFILE_NAME "maildirsize"
#define SIZEFILE_MAX  5120 /* bytes; a longer one is made anew */

/* What the file says. */
struct sizefile {
  struct quota quota; /* not given: there is no file, or no quota in it */
  int64_t size, count;
  size_t lines; /* of sums */
  time_t changed;
};

/* Read s[0..len), all of a file. 1: it can be believed; 0: it has the quota at most. */
extern int sizefile_parse(struct sizefile *t, char const *s, size_t len);

/* Open the file of the Maildir <base> for sizefile_append, and read it. It must not be a link. 1 or
 * 0 as sizefile_parse (0 also when there is none, and <*fd> is -1), or -1 with errno. */
extern int sizefile_read(int base, int *fd, struct sizefile *t);

/* Add a line in one write: what came (or went). 1, or 0 with errno. */
extern int sizefile_append(int fd, int64_t size, int count);

/* Put a file that says <t> in the place of the old one, by way of tmp/. 1, or 0 with errno. */
extern int sizefile_replace(int base, struct sizefile const *t);

#endif
