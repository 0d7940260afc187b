/* hold.c - the set of what is held; see hold.h */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hold.h"

#define HOLDS_MIN 8

static size_t find(struct holds const *h, struct selector const *sel)
{
  size_t i = 0;
  while (i < h->count && !selector_equal(h->items + i, sel)) i++;
  return i;
}

static int grow(struct holds *h)
{
  size_t room = h->room ? h->room * 2 : HOLDS_MIN;
  struct selector *items = reallocarray(h->items, room, sizeof *items);
  if (!items) return 0;
  h->items = items;
  h->room = room;
  return 1;
}

int holds_add(struct holds *h, struct selector const *sel)
{
  if (find(h, sel) < h->count) return 0;
  if (h->count >= HOLDS_MAX) return (errno = ENOSPC, -1);
  if (h->count == h->room && !grow(h)) return (errno = ENOMEM, -1);
  char *value = malloc(sel->len + 1);
  if (!value) return (errno = ENOMEM, -1);
  memcpy(value, sel->value, sel->len);
  h->items[h->count] = *sel;
  h->items[h->count++].value = value;
  return 1;
}

static void free_value(struct selector const *sel)
{
  free((void *)(size_t)sel->value);
}

int holds_remove(struct holds *h, struct selector const *sel)
{
  size_t i = find(h, sel);
  if (i == h->count) return 0;
  free_value(h->items + i);
  h->items[i] = h->items[--h->count];
  return 1;
}

void holds_free(struct holds *h)
{
  for (size_t i = 0; i < h->count; i++) free_value(h->items + i);
  free(h->items);
  *h = (struct holds)HOLDS_ZERO;
}

int holds_rcpt(struct holds const *h, uint64_t id, char const *sender, size_t slen,
               char const *addr, size_t alen)
{
  for (size_t i = 0; i < h->count; i++)
    if (selector_message(h->items + i, id, sender, slen) && selector_rcpt(h->items + i, addr, alen))
      return 1;
  return 0;
}
