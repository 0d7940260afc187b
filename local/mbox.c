/* mbox.c - append to an mbox file; see mbox.h */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/buffer.h>

#include "folder.h"
#include "mbox.h"
#include "mboxlock.h"
#include "program.h"

#define CHUNK 65536

/* What a line may begin with after any number of '>'; such a line gets one more. */
static char const from[] = "From ";
#define FROM_LEN (sizeof from - 1)

struct out {
  buffer b;
  int linestart;  /* only '>' since the last newline, */
  size_t matched; /* and so many bytes of "From ", which are held back */
  char buf[CHUNK];
};

/* Put a byte at the start of a line: hold "From " back until it is clear whether it is one. */
static int put_start(struct out *o, char c)
{
  if (c == from[o->matched]) {
    if (++o->matched < FROM_LEN) return 1;
    o->linestart = 0;
    o->matched = 0;
    return buffer_put(&o->b, ">", 1) > 0 && buffer_put(&o->b, from, FROM_LEN) > 0;
  }
  if (o->matched && buffer_put(&o->b, from, o->matched) <= 0) return 0;
  o->linestart = c == '\n' || (!o->matched && c == '>');
  o->matched = 0;
  return buffer_put(&o->b, &c, 1) > 0;
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
      if (buffer_put(&o->b, s, n) <= 0) return 0;
    }
    s += n;
    len -= n;
  }
  return 1;
}

/* Put the message with quoted From lines, and what ends it: a newline and a blank line. */
static int put_message(struct out *o, struct message *m)
{
  char in[CHUNK];
  ssize_t n;
  char last = '\n';
  o->linestart = 1;
  o->matched = 0;
  if (lseek(m->fd, 0, SEEK_SET) == -1) return 0;
  while ((n = fd_read(m->fd, in, sizeof in)) > 0) {
    if (!put_block(o, in, (size_t)n)) return 0;
    last = in[n - 1];
  }
  if (n < 0) return 0;
  if (o->matched && buffer_put(&o->b, from, o->matched) <= 0) return 0;
  return buffer_put(&o->b, "\n\n", last == '\n' ? 1 : 2) > 0;
}

/* What must precede a new message: a file that was cut off gets its line and
 * its blank line ended, so that none of it becomes part of another message. NULL with errno when
 * that cannot be read. */
static char const *repair(int fd, off_t size)
{
  char end[2] = "\n";
  if (!size) return "";
  errno = EIO;
  if (size == 1 ? pread(fd, end + 1, 1, 0) != 1 : pread(fd, end, 2, size - 2) != 2) return 0;
  if (end[1] != '\n') return "\n\n";
  return end[0] == '\n' ? "" : "\n";
}

/* Append the message to a file of <size> bytes. 1, perhaps with something to say in <r>; or 0 with
 * errno. */
static int append(int fd, off_t size, struct delivery const *d, struct message *m, char const *path,
                  struct report *r)
{
  static struct out o;
  char const *gap = repair(fd, size);
  if (!gap) return 0;
  if (*gap)
    report_fail(r, 0, "The last message in %s has no blank line after it; was it cut off at %llu?",
                path, (unsigned long long)size);
  buffer_init(&o.b, &buffer_write, fd, o.buf, sizeof o.buf);
  return buffer_puts(&o.b, gap) >= 0 && buffer_put(&o.b, d->ufline.s, d->ufline.len) >= 0 &&
         buffer_put(&o.b, d->rpline.s, d->rpline.len) >= 0 &&
         buffer_put(&o.b, d->dtline.s, d->dtline.len) >= 0 && put_message(&o, m) &&
         buffer_flush(&o.b) && fsync(fd) == 0;
}

/* Is <path> still the file that is open? A mail reader may have put a new one in its place. */
static int is_same(int fd, char const *path, struct stat *st)
{
  struct stat now;
  return fstat(fd, st) == 0 && stat(path, &now) == 0 && now.st_ino == st->st_ino &&
         now.st_dev == st->st_dev;
}

/* The mbox is locked. */
static int deliver(int fd, struct delivery const *d, struct message *m, char const *path,
                   struct report *r)
{
  struct stat st;
  if (!is_same(fd, path, &st))
    return report_fail(r, EXIT_TEMPORARY, "The file %s was replaced meanwhile. (#4.3.0)", path);
  if (append(fd, st.st_size, d, m, path, r) && (st.st_size || folder_sync_above(path))) return 1;
  report_fail(r, EXIT_TEMPORARY, "Unable to write %s: %s. (#4.3.0)", path, strerror(errno));
  if (ftruncate(fd, st.st_size) == 0) fsync(fd);
  return 0;
}

int mbox_deliver(struct delivery const *d, struct message *m, char const *path, struct report *r)
{
  struct stat st;
  struct mboxlock lock;
  int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
  if (fd == -1)
    return report_fail(r, EXIT_TEMPORARY, "Unable to open %s: %s. (#4.2.1)", path, strerror(errno));
  int ok = 0;
  if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
    report_fail(r, EXIT_TEMPORARY, "Unable to open %s: it is no regular file. (#4.2.1)", path);
  else if (mboxlock_get(&lock, fd, path, r)) {
    ok = deliver(fd, d, m, path, r);
    mboxlock_drop(&lock);
  }
  if (close(fd) == -1 && ok)
    ok = report_fail(r, EXIT_TEMPORARY, "Unable to write %s: %s. (#4.3.0)", path, strerror(errno));
  return ok;
}
