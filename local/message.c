/* message.c - read a message once or many times; see message.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy.h"
#include "message.h"
#include "program.h"
#include "spool.h"

void message_init(struct message *m, uint64_t length, char const *address, size_t len)
{
  m->fd = 0;
  m->kept = 0;
  m->length = length;
  /* A file is a message from its start; this fails for all else, and need not succeed. */
  if (length == COPY_ALL) lseek(0, 0, SEEK_SET);
  loop_init(&m->loop, address, len);
}

static int look(void *arg, char const *s, size_t len)
{
  return loop_look(arg, s, len);
}

static int loops(struct message const *m, struct report *r)
{
  return report_fail(r, EXIT_PERMANENT, "This message is looping: it %s. (#5.4.6)",
                     m->loop.hops < LOOP_HOPS ? "already has my Delivered-To line"
                                              : "has passed too many hosts");
}

int message_write(struct message *m, int fd, char const *name, uint64_t *size, struct report *r)
{
  if (m->kept && lseek(m->fd, 0, SEEK_SET) == -1)
    return report_fail(r, EXIT_TEMPORARY, "Unable to rewind message: %s. (#4.3.0)",
                       strerror(errno));
  switch (copy_bytes(m->fd, fd, m->length, m->kept ? 0 : look, &m->loop, size)) {
  case COPY_OK: break;
  case COPY_SHORT:
    return report_fail(r, EXIT_TEMPORARY,
                       "Unable to read message: it ends after %llu of %llu bytes. (#4.3.0)",
                       (unsigned long long)*size, (unsigned long long)m->length);
  case COPY_READ:
    return report_fail(r, EXIT_TEMPORARY, "Unable to read message: %s. (#4.3.0)", strerror(errno));
  case COPY_WRITE:
    return report_fail(r, EXIT_TEMPORARY, "Unable to write %s: %s. (#4.3.0)", name,
                       strerror(errno));
  case COPY_STOPPED: return loops(m, r);
  }
  if (!m->kept && !loop_end(&m->loop)) return loops(m, r);
  return 1;
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
  if (ok == -1)
    return report_fail(r, EXIT_TEMPORARY, "Unable to read message: %s. (#4.3.0)", strerror(errno));
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
  if (!message_write(m, fd, "a temporary file", &size, r)) return 0;
  m->fd = fd;
  m->kept = 1;
  m->length = size;
  return 1;
}

int message_reopen(struct message const *m)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", m->fd);
  return open(path, O_RDONLY | O_CLOEXEC);
}
