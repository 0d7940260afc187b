/* waiting.c - messages that wait, in a heap; see waiting.h */

#include <errno.h>
#include <stdlib.h>

#include "waiting.h"

#define WAITING_MIN 64

/* The heap has room for up to 3/2 of what is in it; the set of ids (idset.c) for up to 8/3. */
_Static_assert(sizeof(struct waiting_entry) * 3 / 2 + sizeof(uint64_t) * 8 / 3 <= WAITING_BYTES,
               "memory for each waiting message is promised");

static int grow(struct waiting *w)
{
  size_t room = w->room ? w->room + w->room / 2 : WAITING_MIN;
  struct waiting_entry *e = reallocarray(w->entries, room, sizeof *e);
  if (!e) return (errno = ENOMEM, 0);
  w->entries = e;
  w->room = room;
  return 1;
}

int waiting_push(struct waiting *w, uint64_t id, uint64_t place, uint64_t key)
{
  if (w->count == w->room && !grow(w)) return 0;
  size_t i = w->count++;
  for (; i && w->entries[(i - 1) / 2].key > key; i = (i - 1) / 2)
    w->entries[i] = w->entries[(i - 1) / 2];
  w->entries[i] = (struct waiting_entry){ id, place, key };
  return 1;
}

/* Put <last> into the hole at <i>, or below it. */
static void fill_hole(struct waiting *w, size_t i, struct waiting_entry last)
{
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= w->count) break;
    if (child + 1 < w->count && w->entries[child + 1].key < w->entries[child].key) child++;
    if (w->entries[child].key >= last.key) break;
    w->entries[i] = w->entries[child];
    i = child;
  }
  w->entries[i] = last;
}

struct waiting_entry waiting_pop(struct waiting *w)
{
  struct waiting_entry first = w->entries[0];
  struct waiting_entry last = w->entries[--w->count];
  if (w->count) fill_hole(w, 0, last);
  else waiting_free(w);
  return first;
}

void waiting_pick(struct waiting *w, struct idset const *ids, uint64_t mask, struct waiting *to)
{
  size_t kept = 0;
  for (size_t i = 0; i < w->count; i++) {
    struct waiting_entry e = w->entries[i];
    if (idset_has(ids, e.id)) {
      e.key &= mask;
      if (to != w && waiting_push(to, e.id, e.place, e.key)) continue;
    }
    w->entries[kept++] = e;
  }
  w->count = kept;
  for (size_t i = kept / 2; i--;) fill_hole(w, i, w->entries[i]);
}

void waiting_free(struct waiting *w)
{
  free(w->entries);
  *w = (struct waiting)WAITING_ZERO;
}
