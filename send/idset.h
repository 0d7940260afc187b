/* idset.h - a set of message ids: what send knows already, 8 to 32 bytes an id */
#ifndef PIPIT_SEND_IDSET_H
#define PIPIT_SEND_IDSET_H

#include <stddef.h>
#include <stdint.h>

struct idset {
  uint64_t *slots; /* open addressing; 0 is an empty slot */
  size_t size;     /* a power of two, or 0 */
  size_t count;
};
#define IDSET_ZERO { 0 }

/* Put <id> (not 0) in. 1 it was not there, 0 it was, -1 with ENOMEM. */
extern int idset_add(struct idset *s, uint64_t id);
extern int idset_has(struct idset const *s, uint64_t id);
extern void idset_remove(struct idset *s, uint64_t id);

#endif
