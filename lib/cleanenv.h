/* cleanenv.h - what strangers have written, for lines of text and the environment of programs
 *
 * Each control character becomes '_', and in a variable so does the first byte of a
 * value that begins with "()", which old shells would run.
 */
#ifndef PIPIT_CLEANENV_H
#define PIPIT_CLEANENV_H

#include <stddef.h>

#include <skalibs/stralloc.h>

/* Append s[0..len) with '_' for each control character. 1, or 0 with ENOMEM. */
extern int cleanenv_add(stralloc *sa, char const *s, size_t len);

/* Set a variable to a cleaned copy of <value>. 1, or 0 with ENOMEM. */
extern int cleanenv_set(char const *name, char const *value);

/* The same of s[0..len); with <line> a newline at its end stays. */
extern int cleanenv_setb(char const *name, char const *s, size_t len, int line);

#endif
