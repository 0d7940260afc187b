/* strings.h - for the end-of-data programs: every string over a few letters, and the run over them
 *
 * Letters are written r (CR), n (LF), 0 (NUL); any other stands for itself.
 */
#ifndef PIPIT_TESTS_STRINGS_H
#define PIPIT_TESTS_STRINGS_H

#include <stddef.h>

#define STRINGS_LENGTH_MAX 8
#define STRINGS_FAILED     5 /* failures that are enough */

struct strings {
  char const *letters;
  size_t min, max;      /* lengths */
  unsigned long every;  /* only each every-th string, ... */
  unsigned long offset; /* ... from this one on */
  unsigned long done;
  unsigned long failed;
};

/* Try one string. NULL, or what is wrong. */
typedef char const *strings_func(void *arg, char const *s, size_t len);

/* Read "letters min max every offset" from five arguments. 1, or 0 when they are none. */
extern int strings_parse(struct strings *x, char **args);

/* Call <f> for each string, and tell on stdout which fail. */
extern void strings_run(struct strings *x, strings_func *f, void *arg);

/* Write s[0..len) in C escapes. */
extern void strings_show(char const *s, size_t len);

/* Start <argv[0]> with <fd> as descriptors 0 and 1; its pid, or -1. */
extern int strings_spawn(char *const *argv, int fd);

#endif
