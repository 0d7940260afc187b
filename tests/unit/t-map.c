/* t-map.c - list settings as tables */

#include <string.h>

#include <skalibs/stralloc.h>

#include "check.h"
#include "map.h"

static char const text[] = "example.org:first\0EXAMPLE.org:second\0.example.net:parent\0:default\0bare";

static char const *find(struct map const *m, char const *key)
{
  return map_find(m, key, strlen(key));
}

static int is(char const *value, char const *expected)
{
  return value && !strcmp(value, expected);
}

int main(void)
{
  stralloc list = STRALLOC_ZERO;
  struct map m = MAP_ZERO;
  if (!stralloc_copyb(&list, text, sizeof text) || !map_build(&m, &list, ':')) return 111;
  check(is(find(&m, "Example.ORG"), "first"), "case does not matter, the first line counts");
  check(!find(&m, "bare"), "an entry without separator is dropped");
  check(is(find(&m, ""), "default"), "the empty key is a key");
  check(!find(&m, "example.or") && !find(&m, "example.org.x"), "keys match as a whole");
  char const *d = "a.b.example.net";
  check(is(map_find_domain(&m, d, strlen(d)), "parent"), "a parent with a leading dot matches");
  check(!map_find_domain(&m, "example.net", 11), "the domain itself is not its own parent");
  if (!map_build(&m, &list, 0)) return 111;
  check(is(find(&m, "BARE"), ""), "without separator the entry is the key");
  list.len = 0;
  check(map_build(&m, &list, 0) && !find(&m, ""), "an empty list finds nothing");
  map_free(&m);
  return check_done();
}
