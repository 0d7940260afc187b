/* logline.c - build and write log lines; see logline.h */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>
#include <skalibs/uint64.h>

#include "logline.h"

static void append(struct logline *l, char const *s, size_t len)
{
  size_t room = LOGLINE_MAX - 1 - l->len;
  if (len > room) len = room;
  memcpy(l->s + l->len, s, len);
  l->len += len;
}

void logline_text(struct logline *l, char const *text)
{
  append(l, text, strlen(text));
}

void logline_safe(struct logline *l, char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    char c = s[i];
    if (c == '\n') c = '/';
    else if (c < 33 || c > 126 || c == '%') c = '_';
    append(l, &c, 1);
  }
}

void logline_number(struct logline *l, uint64_t n)
{
  char fmt[UINT64_FMT];
  append(l, fmt, uint64_fmt(fmt, n));
}

static int is_bare(char const *s, size_t len)
{
  if (!len) return 0;
  for (size_t i = 0; i < len; i++)
    if (s[i] < 33 || s[i] > 126 || s[i] == '"' || s[i] == '\\' || s[i] == '=') return 0;
  return 1;
}

static void append_quoted(struct logline *l, char const *s, size_t len)
{
  static char const hex[] = "0123456789abcdef";
  append(l, "\"", 1);
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)s[i];
    char esc[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };
    if (c == '"' || c == '\\') {
      esc[1] = s[i];
      append(l, esc, 2);
    } else if (c < 32 || c > 126) {
      append(l, esc, 4);
    } else {
      append(l, s + i, 1);
    }
  }
  append(l, "\"", 1);
}

void logline_keyb(struct logline *l, char const *key, char const *value, size_t len)
{
  char cut[LOGLINE_VALUE + 3];
  if (len > LOGLINE_VALUE) {
    memcpy(cut, value, LOGLINE_VALUE);
    memcpy(cut + LOGLINE_VALUE, "...", 3);
    value = cut;
    len = sizeof cut;
  }
  append(l, " ", 1);
  logline_text(l, key);
  append(l, "=", 1);
  if (is_bare(value, len)) append(l, value, len);
  else append_quoted(l, value, len);
}

void logline_key(struct logline *l, char const *key, char const *value)
{
  logline_keyb(l, key, value, strlen(value));
}

void logline_keyn(struct logline *l, char const *key, uint64_t n)
{
  char fmt[UINT64_FMT];
  logline_keyb(l, key, fmt, uint64_fmt(fmt, n));
}

static int is_ready(int ms)
{
  struct pollfd p = { .fd = 2, .events = POLLOUT };
  return poll(&p, 1, ms) != 0;
}

/* Write without waiting. 1 (also after an error: there is nobody to tell), or 0
 * when that is not possible now. Older kernels cannot do it in one go. */
static int try_write(char const *s, size_t len)
{
  static int can = 1;
  if (can) {
    struct iovec const v = { .iov_base = (char *)s, .iov_len = len };
    if (pwritev2(2, &v, 1, -1, RWF_NOWAIT) != -1) return 1;
    if (errno == EAGAIN || errno == EPIPE) return errno == EPIPE;
    can = 0;
  }
  if (!is_ready(0)) return 0;
  allwrite(2, s, len);
  return 1;
}

static int write_soon(char const *s, size_t len, int ms)
{
  return try_write(s, len) || (ms && is_ready(ms) && try_write(s, len));
}

/* Say how many lines are missing. 1 when that could be written. */
static int tell_lost(unsigned int lost)
{
  char text[128];
  int n = snprintf(text, sizeof text, "%s: warning: %u log lines were lost\n", PROG, lost);
  return n < 0 || (size_t)n >= sizeof text || write_soon(text, (size_t)n, 0);
}

void logline_write(struct logline *l)
{
  static int stuck;         /* the last line could not be written: do not wait again */
  static unsigned int lost; /* lines, by the process <loser>: a child does not tell its parent's */
  static pid_t loser;
  l->s[l->len++] = '\n';
  if (lost && loser != getpid()) lost = 0;
  if (lost && tell_lost(lost)) lost = 0;
  stuck = lost || !write_soon(l->s, l->len, stuck ? 0 : LOGLINE_WAIT_MS);
  if (stuck) {
    lost++;
    loser = getpid();
  }
  l->len = 0;
}
