/* mboxfile.c - mbox files; see mboxfile.h */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>

#include "lock.h"
#include "mboxfile.h"

#define CHUNK 65536

/* What a line may begin with after any number of '>'; such a line gets one more. */
static char const from[] = "From ";
#define FROM_LEN (sizeof from - 1)

struct out {
  buffer *b;
  int linestart;  /* only '>' since the last newline, */
  size_t matched; /* and so many bytes of "From ", which are held back */
};

/* Put a byte at the start of a line: hold "From " back until it is clear whether it is one. */
static int put_start(struct out *o, char c)
{
  if (c == from[o->matched]) {
    if (++o->matched < FROM_LEN) return 1;
    o->linestart = 0;
    o->matched = 0;
    return buffer_put(o->b, ">", 1) > 0 && buffer_put(o->b, from, FROM_LEN) > 0;
  }
  if (o->matched && buffer_put(o->b, from, o->matched) <= 0) return 0;
  o->linestart = c == '\n' || (!o->matched && c == '>');
  o->matched = 0;
  return buffer_put(o->b, &c, 1) > 0;
}

static int put_block(struct out *o, char const *s, size_t len)
{
  while (len) {
    size_t n = 1;
    if (o->linestart) {
      if (!put_start(o, *s)) return 0;
    } else {
      char const *newline = memchr(s, '\n', len);
      n = newline ? (size_t)(newline - s) + 1 : len;
      o->linestart = newline != 0;
      if (buffer_put(o->b, s, n) <= 0) return 0;
    }
    s += n;
    len -= n;
  }
  return 1;
}

int mboxfile_put(buffer *b, int fd)
{
  char in[CHUNK];
  ssize_t n;
  char last = '\n';
  struct out o = {.b = b, .linestart = 1};
  while ((n = fd_read(fd, in, sizeof in)) > 0) {
    if (!put_block(&o, in, (size_t)n)) return 0;
    last = in[n - 1];
  }
  if (n < 0) return 0;
  if (o.matched && buffer_put(b, from, o.matched) <= 0) return 0;
  return buffer_put(b, "\n\n", last == '\n' ? 1 : 2) > 0;
}

char const *mboxfile_gap(int fd, off_t size)
{
  char end[2] = "\n";
  if (!size) return "";
  errno = EIO;
  if (size == 1 ? pread(fd, end + 1, 1, 0) != 1 : pread(fd, end, 2, size - 2) != 2) return 0;
  if (end[1] != '\n') return "\n\n";
  return end[0] == '\n' ? "" : "\n";
}

/* Append <s> with '_' for each control character and '-' for each blank. */
static int add_word(stralloc *out, char const *s, size_t len)
{
  if (!stralloc_readyplus(out, len)) return 0;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)s[i];
    int blank = c == ' ' || c == '\t' || c == '\n';
    out->s[out->len++] = blank ? '-' : c < 32 || c == 127 ? '_' : s[i];
  }
  return 1;
}

int mboxfile_from(stralloc *out, char const *sender, size_t len, time_t when)
{
  static char const nobody[] = "MAILER-DAEMON";
  char date[64];
  struct tm tm;
  if (!gmtime_r(&when, &tm)) memset(&tm, 0, sizeof tm);
  size_t n = strftime(date, sizeof date, " %a %b %d %H:%M:%S %Y\n", &tm);
  return stralloc_catb(out, from, FROM_LEN) &&
         (len ? add_word(out, sender, len) : stralloc_catb(out, nobody, sizeof nobody - 1)) &&
         stralloc_catb(out, date, n);
}

/* Both, or none; where the file system has only one of them, that is enough. */
static int try_locks(void *data)
{
  int fd = *(int *)data;
  int one = lock_flock(fd);
  if (!one && errno == EWOULDBLOCK) return 0;
  int two = lock_fcntl(fd);
  if (two || (one && errno != EWOULDBLOCK)) return 1;
  if (one && flock(fd, LOCK_UN) == 0) errno = EWOULDBLOCK;
  return 0;
}

int mboxfile_lock(int fd)
{
  return lock_wait(try_locks, &fd);
}

int mboxfile_is_same(int fd, char const *path, struct stat *st)
{
  struct stat now;
  return fstat(fd, st) == 0 && stat(path, &now) == 0 && now.st_ino == st->st_ino &&
         now.st_dev == st->st_dev;
}
