/* copy.h - copy a message whose length is known beforehand, or is not */
#ifndef PIPIT_COPY_H
#define PIPIT_COPY_H

#include <stddef.h>
#include <stdint.h>

#define COPY_ALL UINT64_MAX /* a length that is not known: to the end of the input */

enum copy_result {
  COPY_OK,
  COPY_SHORT,  /* the input ended before <length> bytes */
  COPY_READ,   /* reading failed; errno */
  COPY_WRITE,  /* writing failed; errno */
  COPY_STOPPED /* <look> said so */
};

/* Gets each piece of the message before it is written. 1 to go on, 0 to stop. */
typedef int copy_look(void *arg, char const *s, size_t len);

/* Copy <length> bytes from <in> to <out>; <look> may be NULL. <*copied> is what
 * was written, whatever the result. */
extern enum copy_result copy_bytes(int in, int out, uint64_t length, copy_look *look, void *arg,
                                   uint64_t *copied);

#endif
