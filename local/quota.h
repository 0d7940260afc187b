/* quota.h - how much a Maildir may hold, as Maildir++ writes it */
#ifndef PIPIT_QUOTA_H
#define PIPIT_QUOTA_H

#include <stddef.h>
#include <stdint.h>

#define QUOTA_NUMBER_MAX                                                                           \
  ((uint64_t)INT64_MAX) /* of bytes or messages; other programs count signed */
#define QUOTA_FMT 48    /* bytes of a quota as text, with the NUL */

struct quota {
  int given;      /* 0: nothing was said, and nothing is counted */
  uint64_t size;  /* bytes; 0: as many as one likes */
  uint64_t count; /* messages; likewise */
};

/* Read s[0..len): numbers with commas between them, each followed by S (bytes) or C (messages), or
 * by nothing (bytes). 1, or 0: that is no quota. */
extern int quota_read(struct quota *q, char const *s, size_t len);

/* As text in the same form, without plain numbers: "1000S,10C"; "0S" when there is no limit. The
 * length is returned. */
extern size_t quota_write(struct quota const *q, char out[QUOTA_FMT]);

/* Are <size> bytes in <count> messages too much? */
extern int quota_exceeded(struct quota const *q, uint64_t size, uint64_t count);

#endif
