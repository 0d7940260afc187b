/* inject-input.c - read the message from descriptor 0, CRLF as LF; see inject.h */

#include <errno.h>
#include <poll.h>
#include <string.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/strerr.h>

#include "inject.h"
#include "program.h"

/* Some bytes, or 0 at the end. A descriptor that somebody made non-blocking is waited for. */
static size_t some(char *s, size_t len)
{
  for (;;) {
    ssize_t n = fd_read(0, s, len);
    if (n >= 0) return (size_t)n;
    struct pollfd p = { .fd = 0, .events = POLLIN };
    if (errno != EAGAIN || (poll(&p, 1, -1) == -1 && errno != EINTR))
      strerr_diefusys(EXIT_TEMPORARY, "read the message");
  }
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
    size_t n = in->ended ? 0 : some(in->buf + 1, sizeof in->buf - 1);
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
