/* message.c - read a message once or many times; see message.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>

#include "copy.h"
#include "message.h"
#include "program.h"
#include "spool.h"

#define CHUNK 65536 /* bytes that are read at a time */

void message_init(struct message *m, char const *data, int fd, uint64_t length,
                  char const *address, size_t len)
{
  m->data = data;
  m->fd = fd;
  m->kept = m->own = 0;
  m->length = length;
  /* A file is a message from its start; this fails for all else, and need not succeed. */
  if (length == COPY_ALL) lseek(fd, 0, SEEK_SET);
  loop_init(&m->loop, address, len);
}

void message_free(struct message *m)
{
  if (m->own) close(m->fd);
}

static int loops(struct message const *m, struct report *r)
{
  return report_fail(r, EXIT_PERMANENT, "This message is looping: it %s. (#5.4.6)",
                     m->loop.hops < LOOP_HOPS ? "already has my Delivered-To line"
                                              : "has passed too many hosts");
}

static int cannot_read(struct report *r)
{
  return report_fail(r, EXIT_TEMPORARY, "Unable to read message: %s. (#4.3.0)", strerror(errno));
}

/* Write v[0..n), which together are not empty, in one go. */
static int put(int fd, struct iovec const *v, size_t n, char const *name, struct report *r)
{
  size_t len = 0;
  for (size_t i = 0; i < n; i++) len += v[i].iov_len;
  errno = 0;
  if (allwritev(fd, v, (unsigned int)n) == len) return 1;
  return report_fail(r, EXIT_TEMPORARY, "Unable to write %s: %s. (#4.3.0)", name,
                     strerror(errno ? errno : EIO));
}

/* The next piece of the message: its length, 0 at the end, -1 with errno. */
static ssize_t next(struct message const *m, uint64_t at, char buf[CHUNK], char const **piece)
{
  uint64_t left = m->length - at;
  *piece = m->data ? m->data + at : buf;
  if (m->data) return (ssize_t)left;
  return left ? fd_read(m->fd, buf, left < CHUNK ? (size_t)left : CHUNK) : 0;
}

int message_write(struct message *m, int fd, char const *name, struct iovec const *head, size_t n,
                  uint64_t *size, struct report *r)
{
  static char buf[CHUNK];
  char const *piece;
  ssize_t got;
  struct iovec v[MESSAGE_HEAD + 1];
  if (n) memcpy(v, head, n * sizeof *v);
  if (m->kept && lseek(m->fd, 0, SEEK_SET) == -1)
    return report_fail(r, EXIT_TEMPORARY, "Unable to rewind message: %s. (#4.3.0)",
                       strerror(errno));
  for (*size = 0; (got = next(m, *size, buf, &piece)) > 0; n = 0) {
    if (!m->kept && !loop_look(&m->loop, piece, (size_t)got)) return loops(m, r);
    v[n] = (struct iovec){.iov_base = (char *)piece, .iov_len = (size_t)got};
    if (!put(fd, v, n + 1, name, r)) return 0;
    *size += (uint64_t)got;
  }
  if (got == -1) return cannot_read(r);
  if (*size < m->length && m->length != COPY_ALL)
    return report_fail(r, EXIT_TEMPORARY,
                       "Unable to read message: it ends after %llu of %llu bytes. (#4.3.0)",
                       (unsigned long long)*size, (unsigned long long)m->length);
  if (!m->kept && !loop_end(&m->loop)) return loops(m, r);
  return !n || put(fd, v, n, name, r); /* of an empty message there is only the head */
}

/* Look at the header of a message that is a file already. 1, 0 when it loops, -1 with errno. */
static int check_header(struct message *m)
{
  char buf[8192];
  ssize_t n;
  for (off_t at = 0; (n = pread(m->fd, buf, sizeof buf, at)) > 0; at += n)
    if (!loop_look(&m->loop, buf, (size_t)n)) return 0;
  return n < 0 ? -1 : loop_end(&m->loop);
}

static int keep_file(struct message *m, struct stat const *st, struct report *r)
{
  m->kept = 1;
  m->length = (uint64_t)st->st_size;
  int ok = check_header(m);
  if (ok == -1) return cannot_read(r);
  return ok || loops(m, r);
}

/* Can this be opened anew by its number? */
static int can_reopen(struct message const *m)
{
  int fd = message_reopen(m);
  if (fd == -1) return 0;
  close(fd);
  return 1;
}

int message_keep(struct message *m, int programs, struct report *r)
{
  struct stat st;
  if (m->length == COPY_ALL && fstat(m->fd, &st) == 0 && S_ISREG(st.st_mode) &&
      (!programs || can_reopen(m)))
    return keep_file(m, &st, r);
  uint64_t size;
  int fd = spool_open_in(".");
  if (fd == -1)
    return report_fail(r, EXIT_TEMPORARY, "Unable to make a temporary file: %s. (#4.3.0)",
                       strerror(errno));
  if (!message_write(m, fd, "a temporary file", 0, 0, &size, r)) {
    close(fd);
    return 0;
  }
  m->data = 0;
  m->fd = fd;
  m->kept = m->own = 1;
  m->length = size;
  return 1;
}

int message_reopen(struct message const *m)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", m->fd);
  return open(path, O_RDONLY | O_CLOEXEC);
}
