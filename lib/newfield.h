/* newfield.h - make the fields that a message lacks (RFC 5322, 3.6) */
#ifndef PIPIT_NEWFIELD_H
#define PIPIT_NEWFIELD_H

#include <stddef.h>
#include <time.h>

#include <skalibs/stralloc.h>

/* Where neither To nor Cc says who gets the message (RFC 6854 has groups of nobody). */
#define NEWFIELD_NOBODY "Cc: recipient list not shown: ;\n"

/* Each appends a line to <out>. 1, or 0 with ENOMEM. */

/* "<prefix>Message-ID: <...@idhost>" */
extern int newfield_id(stralloc *out, char const *prefix, struct timespec const *now,
                       stralloc const *idhost);

/* "<field>: ", and the raw address s[0..len) quoted as it must be, with the name before it, or as a
 * comment behind it. The name is "" where there is none. It cannot end the line. */
extern int newfield_mailbox(stralloc *out, char const *field, char const *name, size_t namelen,
                            int comment, char const *s, size_t len);

#endif
