/* access.c - tcpserver's rules, for a listener of our own; see access.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access.h"
#include "cdbmap.h"
#include "home.h"
#include "mode.h"
#include "tcprules.h"

static char why[600];

char const *access_why(void)
{
  return why;
}

static char const *path_of(struct access const *a)
{
  return a->path ? a->path : mode.rules;
}

static int dir_of(struct access const *a)
{
  return a->path ? AT_FDCWD : home_fd();
}

static int fail(struct access const *a, char const *what)
{
  snprintf(why, sizeof why, "%s%s%s: %s", a->path ? "" : home_dir(), a->path ? "" : "/", path_of(a),
           what);
  return 0;
}

static int is_same(struct access const *a, struct stat const *st)
{
  int64_t mtime = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
  return a->dev == st->st_dev && a->ino == st->st_ino && a->size == st->st_size &&
         a->mtime == mtime;
}

static void remember(struct access *a, struct stat const *st)
{
  a->dev = st->st_dev;
  a->ino = st->st_ino;
  a->size = st->st_size;
  a->mtime = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* Do these bytes stand anywhere in the file? Also 1 when that cannot be told. */
static int holds(struct access const *a, char const *what)
{
  struct stat st;
  int found = 1;
  int fd = openat(dir_of(a), path_of(a), O_RDONLY | O_CLOEXEC);
  if (fd == -1) return errno != ENOENT;
  if (fstat(fd, &st) == 0 && st.st_size > 0) {
    void *s = mmap(0, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (s != MAP_FAILED) {
      found = !!memmem(s, (size_t)st.st_size, what, strlen(what));
      munmap(s, (size_t)st.st_size);
    }
  }
  close(fd);
  return found;
}

int access_sets_program(struct access const *a)
{
  return !mode.pop3 && (holds(a, "+QMAILQUEUE=") || holds(a, "+RCPTCHECK="));
}

static void replace(struct access *a, struct cdbmap *map)
{
  cdbmap_close(a->map);
  a->map = map;
}

int access_refresh(struct access *a)
{
  struct stat st;
  struct cdbmap *map = 0;
  if (fstatat(dir_of(a), path_of(a), &st, 0) == -1) {
    if (errno != ENOENT || a->path) {
      if (a->missing) return 1;
      a->missing = 1;
      return fail(a, strerror(errno));
    }
    memset(&st, 0, sizeof st);
    remember(a, &st);
    replace(a, 0);
    return 1;
  }
  a->missing = 0;
  if (is_same(a, &st)) return 1;
  remember(a, &st);
  int r = cdbmap_open_copy(&map, dir_of(a), path_of(a));
  if (r == -1 && errno == EPROTO) return fail(a, "not a cdb file; make it with tcprules");
  if (r == -1) return fail(a, strerror(errno));
  if (r && !a->allow_program && access_sets_program(a)) {
    cdbmap_close(map);
    char what[96];
    snprintf(what, sizeof what, "sets QMAILQUEUE or RCPTCHECK, which is new; restart %s for that", mode.program);
    return fail(a, what);
  }
  a->networks = holds(a, "/");
  replace(a, r ? map : 0);
  return 1;
}

int access_check(struct access const *a, char const *ip, stralloc *rule)
{
  size_t pos = 0;
  char const *var;
  int r;
  rule->len = 0;
  if (!a->map) return 1;
  if (tcprules_find(a->map, ip, 0, 0, a->networks, rule) == -1) return -1;
  while ((r = tcprules_next(rule, &pos, &var)) > 0)
    if (r == 2) return 0;
  return r == -1 ? -1 : 1;
}

void access_apply(stralloc *rule)
{
  size_t pos = 0;
  char const *var;
  while (tcprules_next(rule, &pos, &var) == 1) putenv((char *)var);
}
