/* idset.c - a set of message ids; see idset.h */

#include <errno.h>
#include <stdlib.h>

#include "idset.h"

#define IDSET_MIN 64

static size_t home_slot(struct idset const *s, uint64_t id)
{
  return (size_t)((id * 0x9e3779b97f4a7c15u) >> 20) & (s->size - 1);
}

/* The slot that holds <id>, or the empty one where it would go. */
static size_t find(struct idset const *s, uint64_t id)
{
  size_t i = home_slot(s, id);
  while (s->slots[i] && s->slots[i] != id) i = (i + 1) & (s->size - 1);
  return i;
}

static int grow(struct idset *s)
{
  struct idset bigger = { .size = s->size ? s->size * 2 : IDSET_MIN, .count = s->count };
  bigger.slots = calloc(bigger.size, sizeof *bigger.slots);
  if (!bigger.slots) return (errno = ENOMEM, 0);
  for (size_t i = 0; i < s->size; i++)
    if (s->slots[i]) bigger.slots[find(&bigger, s->slots[i])] = s->slots[i];
  free(s->slots);
  *s = bigger;
  return 1;
}

int idset_add(struct idset *s, uint64_t id)
{
  if ((s->count + 1) * 4 > s->size * 3 && !grow(s)) return -1;
  size_t i = find(s, id);
  if (s->slots[i]) return 0;
  s->slots[i] = id;
  s->count++;
  return 1;
}

int idset_has(struct idset const *s, uint64_t id)
{
  return s->size && s->slots[find(s, id)];
}

/* Empty the slot, and move up what was pushed past it. */
void idset_remove(struct idset *s, uint64_t id)
{
  if (!idset_has(s, id)) return;
  size_t mask = s->size - 1;
  size_t hole = find(s, id);
  for (size_t i = (hole + 1) & mask; s->slots[i]; i = (i + 1) & mask) {
    size_t home = home_slot(s, s->slots[i]);
    if (((i - home) & mask) < ((i - hole) & mask)) continue;
    s->slots[hole] = s->slots[i];
    hole = i;
  }
  s->slots[hole] = 0;
  s->count--;
}
