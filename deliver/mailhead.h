/* mailhead.h - the header of the message on descriptor 0, for who answers it */
#ifndef PIPIT_MAILHEAD_H
#define PIPIT_MAILHEAD_H

#include <skalibs/stralloc.h>

#include "header.h"

#define MAILHEAD_MAX       1048576 /* bytes of a header that is looked at */
#define MAILHEAD_REFERENCE 900     /* bytes of one Message-ID that is quoted */
#define MAILHEAD_THREAD    8192    /* bytes of References that are quoted */

struct mailhead {
  stralloc text;       /* the header's fields */
  stralloc id;         /* its Message-ID "<...>", or empty when there is none that can be quoted */
  stralloc references; /* that of the fields References or In-Reply-To, each with a NUL behind it */
};
#define MAILHEAD_ZERO                                                                              \
  {                                                                                                \
    .text = STRALLOC_ZERO, .id = STRALLOC_ZERO, .references = STRALLOC_ZERO                        \
  }

/* Read descriptor 0 to the end of the header. 1; 0 when it is longer than MAILHEAD_MAX: <m> is
 * empty then. Ends the program when it cannot be read. */
extern int mailhead_read(struct mailhead *m);

/* The same of a header that is there already. */
extern void mailhead_set(struct mailhead *m, char const *s, size_t len);

/* Append In-Reply-To and References fields, as far as there is something to refer to. */
extern void mailhead_add_references(stralloc *out, struct mailhead const *m);

/* Append the value s[0..len) of a field as one line: line ends and control characters become
 * spaces, and those at its edges go. At most <max> bytes, in whole UTF-8 characters. */
extern void mailhead_add_value(stralloc *out, char const *s, size_t len, size_t max);

#endif
