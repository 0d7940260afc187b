/* t-cdbmap.c - cdb files: found, missing, damaged at any byte
 *
 * Also the proof that the link order is right: libskarnet exports functions of
 * tinycdb's names, and with those in place this crashes. */

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/stralloc.h>

#include "cdbmap.h"
#include "check.h"

static void make(void)
{
  struct cdb_make m;
  int fd = open("x.cdb", O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd == -1 || cdb_make_start(&m, fd) || cdb_make_add(&m, "key", 3, "value", 5) ||
      cdb_make_add(&m, "empty", 5, "", 0) || cdb_make_finish(&m) || close(fd))
    exit(111);
}

/* 1 found the value, 0 not found, -1 error, 2 found something else. */
static int look_up(char const *path, char const *key, char const *expected)
{
  struct cdbmap *map = 0;
  stralloc v = STRALLOC_ZERO;
  int r = cdbmap_open(&map, AT_FDCWD, path);
  if (r == 1) r = cdbmap_get(map, key, strlen(key), &v);
  if (r == 1 && (v.len != strlen(expected) || memcmp(v.s, expected, v.len))) r = 2;
  cdbmap_close(map);
  stralloc_free(&v);
  return r;
}

static void cut(size_t len)
{
  make();
  if (truncate("x.cdb", (off_t)len)) exit(111);
}

static int find(struct cdbmap *map, char const *key)
{
  stralloc v = STRALLOC_ZERO;
  int r = cdbmap_get(map, key, strlen(key), &v);
  stralloc_free(&v);
  return r;
}

/* Change the byte at <at>. 1: the file is found sound and is not, for a record is not found. */
static int is_believed(off_t at, int by)
{
  struct cdbmap *map = 0;
  struct cdbmap_stamp stamp;
  unsigned char c;
  int fd = open("x.cdb", O_RDWR);
  memset(&stamp, 0, sizeof stamp);
  if (fd == -1 || pread(fd, &c, 1, at) != 1) exit(111);
  c = (unsigned char)(c + by);
  if (pwrite(fd, &c, 1, at) != 1) exit(111);
  int r = cdbmap_open(&map, AT_FDCWD, "x.cdb");
  r = r == 1 && cdbmap_verify(map, &stamp) == 1 && (find(map, "key") != 1 || find(map, "empty") != 1);
  cdbmap_close(map);
  c = (unsigned char)(c - by);
  if (pwrite(fd, &c, 1, at) != 1 || close(fd)) exit(111);
  return r;
}

int main(void)
{
  struct stat st;
  char const *scratch = getenv("SCRATCH");
  if (!scratch || chdir(scratch)) return 111;
  check(look_up("missing.cdb", "key", "") == 0, "a missing file finds nothing");
  make();
  check(look_up("x.cdb", "key", "value") == 1, "a key is found");
  check(look_up("x.cdb", "empty", "") == 1, "an empty value is a value");
  check(look_up("x.cdb", "other", "") == 0, "another key is not");
  if (stat("x.cdb", &st)) return 111;
  int bad = 0;
  for (off_t n = 0; n < st.st_size; n++) {
    cut((size_t)n);
    int r = look_up("x.cdb", "key", "value");
    if (r != -1 && r != 1) bad++;
  }
  check(!bad, "cut at any byte, it gives the value or an error, never \"not found\"");
  make();
  static int const changes[] = { 1, -1, -8 };
  for (off_t n = 0; n < st.st_size; n++)
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) bad += is_believed(n, changes[i]);
  check(!bad, "with any byte changed, a file that is found sound finds its records");
  return check_done();
}
