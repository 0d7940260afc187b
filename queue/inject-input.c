/* inject-input.c - read the message from descriptor 0, CRLF as LF; see inject.h */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/strerr.h>

#include "inject.h"
#include "program.h"
#include "spool.h"

/* Some bytes, or 0 at the end. A descriptor that somebody made non-blocking is waited for. */
static size_t wait_read(int fd, char *s, size_t len)
{
  for (;;) {
    ssize_t n = fd_read(fd, s, len);
    if (n >= 0) return (size_t)n;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (errno != EAGAIN || (poll(&p, 1, -1) == -1 && errno != EINTR))
      strerr_diefusys(EXIT_TEMPORARY, "read the message");
  }
}

static size_t some(struct input *in, char *s, size_t len)
{
  if (!in->whole) return wait_read(in->fd, s, len);
  if (len > in->have - in->at) len = in->have - in->at;
  memcpy(s, in->ahead + in->at, len);
  in->at += len;
  return len;
}

/* Copy in->ahead, which is full, and all that comes to a spool file, and go on from there. */
static void spool(struct input *in)
{
  int fd = spool_open();
  if (fd == -1) strerr_diefusys(EXIT_TEMPORARY, "make a file for the message");
  for (size_t n = in->have; n; n = wait_read(in->fd, in->ahead, sizeof in->ahead))
    if (allwrite(fd, in->ahead, n) < n)
      strerr_diefusys(EXIT_TEMPORARY, "write the message to a file");
  if (lseek(fd, 0, SEEK_SET) == -1) strerr_diefusys(EXIT_TEMPORARY, "read the message again");
  in->fd = fd;
}

void input_settle(struct input *in)
{
  struct stat st;
  if (in->ended || (fstat(in->fd, &st) == 0 && S_ISREG(st.st_mode))) return;
  while (in->have < sizeof in->ahead) {
    size_t n = wait_read(in->fd, in->ahead + in->have, sizeof in->ahead - in->have);
    if (!n) {
      in->whole = 1;
      return;
    }
    in->have += n;
  }
  spool(in);
}

/* Take the CRs before LFs out of buf[1..n], and put a CR that was held back before them. */
static size_t strip(struct input *in, size_t n)
{
  char *w = in->buf;
  for (size_t i = 1; i <= n; i++) {
    char c = in->buf[i];
    if (in->cr && c != '\n') *w++ = '\r';
    in->cr = c == '\r';
    if (!in->cr) *w++ = c;
  }
  in->bytes = in->buf;
  return (size_t)(w - in->buf);
}

size_t input_read(struct input *in)
{
  size_t given = 0;
  while (!given) {
    size_t n = in->ended ? 0 : some(in, in->buf + 1, sizeof in->buf - 1);
    if (!n) {
      in->ended = 1;
      if (!in->cr) return 0;
      in->cr = 0;
      in->bytes = in->buf;
      in->buf[0] = '\r';
      return 1;
    }
    in->bytes = in->buf + 1;
    given = in->cr || memchr(in->bytes, '\r', n) ? strip(in, n) : n;
  }
  return given;
}
