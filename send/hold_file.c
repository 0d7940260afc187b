/* hold_file.c - queue/lock/holds: what is held, on disk; see hold.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/random.h>
#include <skalibs/types.h>
#include <skalibs/uint64.h>

#include "fileat.h"
#include "hold.h"
#include "lines.h"

#define NEW_NAME  "lock/holds.new"
#define DIRECTORY "lock"
#define MODE      0660
#define KIND_LEN  2 /* bytes before a value */

/* One line, not the first. 1, or 0 with errno. */
static int take_line(struct holds *h, char const *s, size_t len)
{
  struct selector sel;
  size_t skip = len < KIND_LEN ? len : KIND_LEN;
  if (!len || (len > 1 && s[1] != ' ') || selector_make(&sel, s[0], s + skip, len - skip))
    return (errno = EPROTO, 0);
  return holds_add(h, &sel) != -1;
}

/* 1, or 0 with errno. */
static int take_lines(struct holds *h, struct lines *l)
{
  char const *s;
  size_t len;
  size_t pos = KIND_LEN;
  uint64_t count;
  int r = lines_next(l, &s, &len);
  if (r == -1) return 0;
  if (!r || len < 3 || memcmp(s, "n ", 2) || !lines_number(s, len, &pos, &count))
    return (errno = EPROTO, 0);
  while ((r = lines_next(l, &s, &len)) == 1)
    if (!take_line(h, s, len)) return 0;
  if (!r && h->count != count) return (errno = EPROTO, 0);
  return r == 0;
}

static int read_file(struct holds *h, int fd)
{
  struct lines *l = malloc(sizeof *l);
  if (!l) return 0;
  int r = lines_open(l, fd, HOLDS_TITLE);
  if (!r) errno = EPROTO;
  int ok = r == 1 && take_lines(h, l);
  int e = errno;
  free(l);
  errno = e;
  return ok;
}

int holds_read(struct holds *h, int queuefd)
{
  int fd = openat(queuefd, HOLDS_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd == -1) return errno == ENOENT;
  int ok = read_file(h, fd);
  int e = errno;
  close(fd);
  if (!ok) holds_free(h);
  errno = e;
  return ok;
}

static int make_line(stralloc *out, char const *nonce, struct selector const *sel)
{
  char line[KIND_LEN + SELECTOR_MAX] = { sel->kind, ' ' };
  if (sel->len) memcpy(line + KIND_LEN, sel->value, sel->len);
  return lines_add(out, nonce, line, sel->len ? KIND_LEN + sel->len : 1);
}

static int make_text(struct holds const *h, stralloc *out)
{
  char nonce[QFILE_NONCE];
  char count[KIND_LEN + UINT64_FMT] = "n ";
  random_buf(nonce, sizeof nonce);
  size_t len = KIND_LEN + uint64_fmt(count + KIND_LEN, h->count);
  if (!lines_title(out, HOLDS_TITLE, nonce) || !lines_add(out, nonce, count, len)) return 0;
  for (size_t i = 0; i < h->count; i++)
    if (!make_line(out, nonce, h->items + i)) return 0;
  return 1;
}

/* 1, or 0 with errno. */
static int write_new(int queuefd, stralloc const *text)
{
  int const flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  int fd = openat(queuefd, NEW_NAME, flags, MODE);
  if (fd == -1) return 0;
  int ok = fileat_write(fd, text->s, text->len, 0) && fsync(fd) == 0;
  int e = errno;
  close(fd);
  errno = e;
  return ok;
}

int holds_write(struct holds const *h, int queuefd)
{
  stralloc text = STRALLOC_ZERO;
  int ok = make_text(h, &text) && write_new(queuefd, &text) &&
           renameat(queuefd, NEW_NAME, queuefd, HOLDS_NAME) == 0 && fileat_sync_directory(queuefd, DIRECTORY);
  int e = errno;
  stralloc_free(&text);
  errno = e;
  return ok;
}
