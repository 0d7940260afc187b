/* t-aliases.c - which target an address finds in a forwarding database, and its instructions */

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aliases.h"
#include "check.h"

static char const list[] = "&a@b.example\0|prog one\0./list.bin\0!x";

static void make(char const *path)
{
  struct cdb_make m;
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd == -1 || cdb_make_start(&m, fd)) exit(111);
  if (cdb_make_add(&m, ":joe@one.example", 16, "exact", 5) ||
      cdb_make_add(&m, ":@one.example", 13, "host", 4) || cdb_make_add(&m, ":joe@", 5, "user", 4) ||
      cdb_make_add(&m, "?joe@", 5, "owner", 5) || cdb_make_add(&m, ":bare", 5, list, sizeof list))
    exit(111);
  if (cdb_make_finish(&m) || close(fd)) exit(111);
}

static void finds(struct cdbmap *db, enum aliases_kind kind, char const *addr, int wild,
                  char const *expected)
{
  stralloc value = STRALLOC_ZERO;
  int r = aliases_find(db, kind, addr, strlen(addr), wild, &value);
  check(r == (expected != 0) &&
            (!expected ? !value.len
                       : value.len == strlen(expected) && !memcmp(value.s, expected, value.len)),
        addr);
  stralloc_free(&value);
}

static void instructions(void)
{
  char const *one;
  size_t pos = 0;
  int ok = 1;
  for (size_t at = 0; at < sizeof list; at += strlen(list + at) + 1)
    ok &= aliases_next(list, sizeof list, &pos, &one) == 1 && one == list + at;
  check(ok && !aliases_next(list, sizeof list, &pos, &one), "each instruction is found");
  pos = 0;
  check(aliases_next("&x", 2, &pos, &one) == -1 && errno == EPROTO, "one without a NUL is none");
  check(aliases_next("x", 2, &pos, &one) == -1, "nor is one of no known kind");
  check(aliases_next("", 1, &pos, &one) == -1, "nor an empty one");
}

int main(void)
{
  struct cdbmap *db;
  make("aliases.cdb");
  if (cdbmap_open(&db, AT_FDCWD, "aliases.cdb") != 1) return 111;
  finds(db, ALIASES_INSTRUCTIONS, "Joe@One.example", 1, "exact");
  finds(db, ALIASES_INSTRUCTIONS, "ann@one.example", 1, "host");
  finds(db, ALIASES_INSTRUCTIONS, "joe@two.example", 1, "user");
  finds(db, ALIASES_INSTRUCTIONS, "ann@two.example", 1, 0);
  finds(db, ALIASES_INSTRUCTIONS, "joe@two.example", 0, 0);
  finds(db, ALIASES_INSTRUCTIONS, "joe", 1, 0);
  finds(db, ALIASES_INSTRUCTIONS, "", 1, 0);
  finds(db, ALIASES_OWNER, "joe@two.example", 1, "owner");
  finds(db, ALIASES_OWNER, "ann@one.example", 1, 0);
  check(aliases_exists(db, "x@y@one.example", 15) == 1 && !aliases_exists(db, "x@one.example.", 14),
        "the last @ divides an address");
  cdbmap_close(db);
  instructions();
  return check_done();
}
