/* maillist.h - lists of recipients as sendmail has them: /etc/aliases, :include: files, .forward
 *
 * Addresses as in a header's To field, with commas between them, and without groups; "|program" and
 * |program, where a program with blanks has to be quoted; /file; :include:/file.
 */
#ifndef PIPIT_MAILLIST_H
#define PIPIT_MAILLIST_H

#include <stddef.h>

#include <skalibs/stralloc.h>

enum maillist_kind { MAILLIST_ADDRESS, MAILLIST_PROGRAM, MAILLIST_FILE, MAILLIST_INCLUDE };

/* Called for each item, with its text (an address without quoting, a program without its '|') and
 * a NUL behind it; <hasdomain>: an '@' stood outside of quotes. NULL to go on, or why not. */
typedef char const *maillist_func(void *data, enum maillist_kind kind, char const *text, size_t len,
                                  int hasdomain);

/* Walk the list s[0..len). NULL, or why it cannot be used; <f> may have been called before. */
extern char const *maillist_parse(char const *s, size_t len, maillist_func *f, void *data);

/* The offset of the first ':' in s[0..len) outside of quotes, comments and brackets; <len> when
 * there is none. */
extern size_t maillist_colon(char const *s, size_t len);

/* Set <target> to what stands before the colon: an address, a name alone, or an '@' with a domain.
 * <*hasdomain> as above. NULL, or why not. */
extern char const *maillist_target(char const *s, size_t len, stralloc *target, int *hasdomain);

#endif
