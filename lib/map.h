/* map.h - a list setting as a table: locals, rcpthosts, virtualdomains, smtproutes
 *
 * Keys are compared without regard to ASCII case. The first of two lines with
 * the same key counts.
 */
#ifndef PIPIT_MAP_H
#define PIPIT_MAP_H

#include <stddef.h>

#include <skalibs/stralloc.h>

struct map_entry {
  char const *key; /* points into map.text; not NUL-terminated */
  size_t keylen;
  char const *value; /* NUL-terminated; "" when the list has no separator */
};
struct map {
  stralloc text;
  struct map_entry *entries; /* sorted by key */
  size_t count;
};
#define MAP_ZERO { .text = STRALLOC_ZERO, .entries = 0, .count = 0 }

/* Build <m> from <list> (NUL-terminated entries, as control_list gives them).
 * With <separator>, the key ends at its first occurrence and the value follows,
 * and an entry without one is dropped; with 0 the whole entry is the key.
 * Replaces what <m> held, only on success. 1, or 0 with ENOMEM. */
extern int map_build(struct map *m, stralloc const *list, char separator);

/* The value for the key, or NULL. */
extern char const *map_find(struct map const *m, char const *key, size_t len);

/* The value for <domain> itself, else for each of its parents with a leading
 * dot (.example.org, .org), else NULL. */
extern char const *map_find_domain(struct map const *m, char const *domain, size_t len);

extern void map_free(struct map *m);

#endif
