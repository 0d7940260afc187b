/* map.c - a list setting as a sorted table; see map.h */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <skalibs/stralloc.h>

#include "map.h"

static int compare_keys(char const *a, size_t alen, char const *b, size_t blen)
{
  int r = strncasecmp(a, b, alen < blen ? alen : blen);
  if (r) return r;
  return (alen > blen) - (alen < blen);
}

/* Equal keys keep the order of the file: qsort need not be stable. */
static int compare_entries(void const *a, void const *b)
{
  struct map_entry const *x = a;
  struct map_entry const *y = b;
  int r = compare_keys(x->key, x->keylen, y->key, y->keylen);
  return r ? r : (x->key > y->key) - (x->key < y->key);
}

static size_t count_entries(stralloc const *list)
{
  size_t n = 0;
  for (size_t i = 0; i < list->len; i += strlen(list->s + i) + 1) n++;
  return n;
}

static void fill(struct map *m, char separator)
{
  for (size_t i = 0; i < m->text.len; i += strlen(m->text.s + i) + 1) {
    char const *s = m->text.s + i;
    struct map_entry *e = m->entries + m->count;
    char const *sep = separator ? strchr(s, separator) : s + strlen(s);
    if (!sep) continue;
    e->key = s;
    e->keylen = (size_t)(sep - s);
    e->value = separator ? sep + 1 : sep;
    m->count++;
  }
  qsort(m->entries, m->count, sizeof *m->entries, compare_entries);
}

int map_build(struct map *m, stralloc const *list, char separator)
{
  struct map fresh = MAP_ZERO;
  size_t n = count_entries(list);
  if (!stralloc_copy(&fresh.text, list)) return 0;
  fresh.entries = calloc(n ? n : 1, sizeof *fresh.entries);
  if (!fresh.entries) {
    stralloc_free(&fresh.text);
    return (errno = ENOMEM, 0);
  }
  fill(&fresh, separator);
  map_free(m);
  *m = fresh;
  return 1;
}

/* The first of the entries with this key: the one that came first in the file. */
char const *map_find(struct map const *m, char const *key, size_t len)
{
  size_t low = 0;
  size_t high = m->count;
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    struct map_entry const *e = m->entries + mid;
    if (compare_keys(e->key, e->keylen, key, len) < 0) low = mid + 1;
    else high = mid;
  }
  if (low == m->count) return 0;
  struct map_entry const *e = m->entries + low;
  return compare_keys(e->key, e->keylen, key, len) ? 0 : e->value;
}

char const *map_find_domain(struct map const *m, char const *domain, size_t len)
{
  char const *value = map_find(m, domain, len);
  for (size_t i = 1; !value && i < len; i++)
    if (domain[i] == '.') value = map_find(m, domain + i, len - i);
  return value;
}

void map_free(struct map *m)
{
  stralloc_free(&m->text);
  free(m->entries);
  m->entries = 0;
  m->count = 0;
}
