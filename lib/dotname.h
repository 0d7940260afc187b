/* dotname.h - the names of the dot-qmail files that an extension may have: dot-qmail(5)
 *
 * .qmail<dash><ext>, then .qmail<dash><prefix>default for each prefix of ext that
 * ends with '-', the longest first, then .qmail<dash>default. Case is ignored in
 * ext, and '.' in it stands for ':' in the name.
 */
#ifndef PIPIT_DOTNAME_H
#define PIPIT_DOTNAME_H

#include <stddef.h>

#include <skalibs/stralloc.h>

/* Make <name> ".qmail<dash><ext[0..len)><suffix>", with its NUL. 1, or 0 with ENOMEM. */
extern int dotname_make(stralloc *name, char const *dash, char const *ext, size_t len,
                        char const *suffix);

/* Set <*len>, at the beginning strlen(ext) + 1, to the next shorter prefix of ext
 * that a "default" may follow. 1, or 0 when there is none. */
extern int dotname_shorter(char const *ext, size_t *len);

/* Does <e>, the error of a look at such a name, say that there is no such file? After
 * any other it may be there. */
extern int dotname_is_absent(int e);

#endif
