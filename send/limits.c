/* limits.c - read control/concurrencydomains; see limits.h */

#include <stdio.h>
#include <string.h>

#include "control.h"
#include "limits.h"
#include "settings.h"

#define SEPARATOR '\1' /* in place of the ':' after the name, which may hold others in brackets */
#define BLANKS    " \t"
#define WHY_ROOM  256

/* Digits at *s, from 1 to <max>; <*s> moves on. */
static int take_number(char const **s, uint32_t max, uint32_t *value)
{
  uint64_t n = 0;
  char const *p = *s;
  for (; *p >= '0' && *p <= '9' && n <= max; p++) n = n * 10 + (uint64_t)(*p - '0');
  if (p == *s || !n || n > max) return 0;
  *s = p;
  *value = (uint32_t)n;
  return 1;
}

/* "10" a second, or "10/60": in so many seconds. */
static int take_rate(char const **s, struct limits *l)
{
  l->seconds = 1;
  if (!take_number(s, LIMITS_RATE_MAX, &l->rate)) return 0;
  if (**s != '/') return 1;
  ++*s;
  return take_number(s, LIMITS_RATE_MAX, &l->seconds);
}

static int take_key(char const **s, char const *key)
{
  size_t n = strlen(key);
  if (strncmp(*s, key, n)) return 0;
  *s += n;
  return 1;
}

static int take_pair(char const **s, struct limits *l)
{
  if (take_key(s, "connections=")) return take_number(s, CONCURRENCY_MAX, &l->connections);
  if (take_key(s, "rate=")) return take_rate(s, l);
  if (take_key(s, "connmessages=")) return take_number(s, LIMITS_CONN_MAX, &l->connmessages);
  if (take_key(s, "connidle=")) return take_number(s, LIMITS_IDLE_MAX, &l->connidle);
  return 0;
}

int limits_parse(struct limits *l, char const *s)
{
  struct limits fresh = *l;
  s += strspn(s, BLANKS);
  if (!*s) return 0;
  while (*s) {
    if (!take_pair(&s, &fresh) || (*s && !strchr(BLANKS, *s))) return 0;
    s += strspn(s, BLANKS);
  }
  *l = fresh;
  return 1;
}

/* Mark the end of the name in one entry, and check what follows. */
static int check_entry(char *s)
{
  struct limits l = { 0 };
  char *end = *s == '[' ? strchr(s, ']') : s;
  char *colon = end ? strchr(end, ':') : 0;
  if (!colon || strcspn(s, BLANKS) < (size_t)(colon - s)) return 0;
  *colon = SEPARATOR;
  if (limits_parse(&l, colon + 1)) return 1;
  *colon = ':';
  return 0;
}

static int check_all(stralloc *list)
{
  char why[WHY_ROOM];
  for (size_t i = 0; i < list->len; i += strlen(list->s + i) + 1) {
    if (check_entry(list->s + i)) continue;
    snprintf(why, sizeof why,
             "not limits: %.100s; write name: and connections=, rate=, connmessages=, connidle=",
             list->s + i);
    control_bad_entry(LIMITS_FILE, why);
    return 0;
  }
  return 1;
}

int limits_load(struct limit_rules *r)
{
  struct limit_rules fresh = LIMIT_RULES_ZERO;
  stralloc list = STRALLOC_ZERO;
  int ok = control_list(LIMITS_FILE, &list) != -1 && check_all(&list);
  if (ok && !map_build(&fresh.map, &list, SEPARATOR)) {
    control_bad_entry(LIMITS_FILE, "out of memory");
    ok = 0;
  }
  stralloc_free(&list);
  if (!ok) return 0;
  char const *otherwise = map_find(&fresh.map, "", 0);
  if (otherwise) limits_parse(&fresh.otherwise, otherwise);
  fresh.named = fresh.map.count > (otherwise != 0);
  map_free(&r->map);
  *r = fresh;
  return 1;
}

int limits_find(struct limit_rules const *r, char const *name, size_t len, struct limits *l)
{
  char const *value = len && r->named ? map_find_domain(&r->map, name, len) : 0;
  *l = r->otherwise;
  if (value) limits_parse(l, value);
  return value != 0;
}
