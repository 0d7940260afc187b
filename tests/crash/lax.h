/* lax.h - receivers that take more than CR LF . CR LF for an end of data */
#ifndef PIPIT_TESTS_LAX_H
#define PIPIT_TESTS_LAX_H

#include <stddef.h>

enum {
  LAX_LF_ENDS = 1,  /* a bare LF ends a line */
  LAX_CR_ENDS = 2,  /* a bare CR ends a line */
  LAX_CR_GONE = 4,  /* every CR is thrown away, LF ends a line */
  LAX_LF_GONE = 8,  /* every LF is thrown away, CR ends a line */
  LAX_NUL_GONE = 16, /* every NUL is thrown away */
  LAX_NUL_CUTS = 32, /* a NUL hides the rest of its line, as in a C string */
  LAX_ALL = 64       /* one more than all together */
};

/* Would a receiver that does <flags> find its first line of one dot exactly at the end of
 * s[0..len), which is at most 200,000 bytes? */
extern int lax_ends_at_end(char const *s, size_t len, unsigned int flags);

/* The same for all combinations: -1, or the flags of the first receiver that is deceived. */
extern int lax_deceived(char const *s, size_t len);

#endif
