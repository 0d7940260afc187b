/* table.c - for tools that read text files and make cdb files; see table.h */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <skalibs/djbunix.h>
#include <skalibs/strerr.h>
#include <skalibs/unix-transactional.h>

#include "home.h"
#include "program.h"
#include "table.h"

static struct cdbwrite *writing;
static char const *written;

static void give_up(void)
{
  int e = errno;
  if (writing) cdbwrite_abandon(writing);
  writing = 0;
  errno = e;
}

void table_die(char const *what, char const *path)
{
  give_up();
  strerr_diefusys(EXIT_TEMPORARY, what, " ", home_dir(), "/", path);
}

void table_bad(struct table const *t, char const *what)
{
  char line[24];
  give_up();
  snprintf(line, sizeof line, "%lu", t->line);
  strerr_dief(EXIT_TEMPORARY, t->path, ": line ", line, ": ", what);
}

void table_warn(struct table const *t, char const *what)
{
  char line[24];
  snprintf(line, sizeof line, "%lu", t->line);
  strerr_warnw(t->path, ": line ", line, ": ", what);
}

void table_program(int argc)
{
  if (argc != 1) strerr_dieusage(EXIT_PERMANENT, PROG);
  if (home_fd() == -1) strerr_diefusys(EXIT_TEMPORARY, "open the instance ", home_dir());
}

int table_read_if(struct table *t, char const *path)
{
  *t = (struct table){.path = path, .text = STRALLOC_ZERO};
  if (openslurpclose_at(home_fd(), path, &t->text)) return 1;
  if (errno != ENOENT) table_die("read", path);
  return 0;
}

void table_read(struct table *t, char const *path)
{
  if (!table_read_if(t, path)) table_die("read", path);
}

void table_read_input(struct table *t, char const *name)
{
  *t = (struct table){.path = name, .text = STRALLOC_ZERO};
  if (!slurp(&t->text, 0)) strerr_diefusys(EXIT_TEMPORARY, "read ", name);
}

int table_list(stralloc *list, char const *path)
{
  struct table t;
  char *s;
  size_t len;
  int there = table_read_if(&t, path);
  while (there && table_next(&t, &s, &len)) {
    len = table_trim(s, len);
    if (!len || *s == '#') continue;
    if (!stralloc_catb(list, s, len) || !stralloc_append(list, 0))
      strerr_dief(EXIT_TEMPORARY, "out of memory");
  }
  stralloc_free(&t.text);
  return there;
}

int table_next(struct table *t, char **s, size_t *len)
{
  size_t left = t->text.len - t->pos;
  if (!left) return 0;
  *s = t->text.s + t->pos;
  char *newline = memchr(*s, '\n', left);
  t->whole = newline != 0;
  *len = newline ? (size_t)(newline - *s) : left;
  t->pos += *len + (size_t)t->whole;
  t->line++;
  if (memchr(*s, 0, *len)) table_bad(t, "holds a NUL byte; this is a text file");
  return 1;
}

size_t table_trim(char const *s, size_t len)
{
  while (len && (s[len - 1] == ' ' || s[len - 1] == '\t' || s[len - 1] == '\r')) len--;
  return len;
}

struct cdbwrite *table_begin(char const *path)
{
  written = path;
  if (!cdbwrite_begin(&writing, home_fd(), path)) table_die("begin to write", path);
  return writing;
}

void table_put(char const *key, size_t klen, char const *value, size_t vlen)
{
  if (!cdbwrite_add(writing, key, klen, value, vlen)) table_die("write", written);
}

void table_commit(void)
{
  struct cdbwrite *w = writing;
  writing = 0;
  if (!cdbwrite_commit(w)) table_die("write", written);
}
