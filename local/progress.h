/* progress.h - which lines of a dot-qmail file a message is through with, so that a later attempt
 * leaves them out
 *
 * A record stands for one line that delivered to a file or a program: 16 hex digits, a hash over
 * the address and the line, and then '.', or '!' where the program said to stop. It counts wherever the
 * line stands in the file at the next attempt, and once. pipit-send keeps the records, as a text that only
 * this module understands.
 */
#ifndef PIPIT_PROGRESS_H
#define PIPIT_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

#include "delivery.h"
#include "dotqmail.h"

#define PROGRESS_HASH   16 /* hex digits */
#define PROGRESS_RECORD (PROGRESS_HASH + 1)
#define PROGRESS_MAX    32 /* records; further lines are followed again */

struct progress {
  size_t count;
  uint32_t met; /* bit n: the line of record n was met in this attempt */
  char records[PROGRESS_MAX * PROGRESS_RECORD];
};

/* Begin with the text of earlier attempts. One that does not hold, or none, is no progress. A
 * struct of zeros has none either. */
extern void progress_begin(struct progress *p, char const *text, size_t len);

/* Was this instruction done by an earlier attempt? 0; or what came of it: 1, or COMMAND_STOP. */
extern int progress_meet(struct progress *p, struct delivery const *d,
                         struct instruction const *i);

/* It is done now, with this result. */
extern void progress_add(struct progress *p, struct delivery const *d,
                         struct instruction const *i, int result);

#endif
