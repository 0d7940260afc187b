/* lines.c - files of checksummed lines; see lines.h */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lines.h"

#define SUM_DIGITS 8

static char const digits[] = "0123456789abcdef";

static int digit_value(char c)
{
  char const *p = c ? strchr(digits, c) : 0;
  return p ? (int)(p - digits) : -1;
}

void lines_hex(char out[2 * QFILE_NONCE], char const nonce[QFILE_NONCE])
{
  for (size_t i = 0; i < QFILE_NONCE; i++) {
    unsigned char c = (unsigned char)nonce[i];
    out[2 * i] = digits[c >> 4];
    out[2 * i + 1] = digits[c & 15];
  }
}

int lines_unhex(char nonce[QFILE_NONCE], char const *s)
{
  for (size_t i = 0; i < QFILE_NONCE; i++) {
    int high = digit_value(s[2 * i]);
    int low = digit_value(s[2 * i + 1]);
    if (high < 0 || low < 0) return 0;
    nonce[i] = (char)(high << 4 | low);
  }
  return 1;
}

int lines_number(char const *s, size_t len, size_t *pos, uint64_t *n)
{
  size_t i = *pos;
  uint64_t x = 0;
  for (; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
    if (x > (UINT64_MAX - 9) / 10) return 0;
    x = x * 10 + (uint64_t)(s[i] - '0');
  }
  if (i == *pos || (i < len && s[i] != ' ')) return 0;
  *pos = i < len ? i + 1 : i;
  *n = x;
  return 1;
}

int lines_title(stralloc *out, char const *title, char const nonce[QFILE_NONCE])
{
  char hex[2 * QFILE_NONCE];
  lines_hex(hex, nonce);
  return stralloc_cats(out, title) && stralloc_append(out, ' ') &&
         stralloc_catb(out, hex, sizeof hex) && stralloc_append(out, '\n');
}

static void put_sum(char out[SUM_DIGITS], char const nonce[QFILE_NONCE], char const *s, size_t len)
{
  uint32_t sum = qfile_sum_add(qfile_sum_start(nonce), s, len);
  for (int i = SUM_DIGITS - 1; i >= 0; i--, sum >>= 4) out[i] = digits[sum & 15];
}

int lines_add(stralloc *out, char const nonce[QFILE_NONCE], char const *payload, size_t len)
{
  char sum[SUM_DIGITS + 1];
  if (len > LINES_MAX - SUM_DIGITS - 2) return (errno = EMSGSIZE, 0);
  put_sum(sum, nonce, payload, len);
  sum[SUM_DIGITS] = ' ';
  if (!stralloc_readyplus(out, sizeof sum + len + 1)) return 0;
  stralloc_catb(out, sum, sizeof sum);
  stralloc_catb(out, payload, len);
  return stralloc_append(out, '\n');
}

/* The next whole line without its newline. 1; 0 when there is none; -1 with errno. */
static int next_line(struct lines *l, char const **line, size_t *len)
{
  for (;;) {
    char *s = l->buf + l->at;
    char *nl = memchr(s, '\n', l->have - l->at);
    if (nl) {
      *line = s;
      *len = (size_t)(nl - s);
      l->at += *len + 1;
      return 1;
    }
    memmove(l->buf, s, l->have - l->at);
    l->have -= l->at;
    uint64_t end = l->good + l->have;
    l->at = 0;
    if (l->have == sizeof l->buf) return 0;
    ssize_t r = pread(l->fd, l->buf + l->have, sizeof l->buf - l->have, (off_t)end);
    if (r == -1 && errno == EINTR) continue;
    if (r <= 0) return r ? -1 : 0;
    l->have += (size_t)r;
  }
}

int lines_open(struct lines *l, int fd, char const *title)
{
  char const *s;
  size_t len;
  size_t tlen = strlen(title);
  l->fd = fd;
  l->good = 0;
  l->at = l->have = 0;
  int r = next_line(l, &s, &len);
  if (r != 1) return r;
  if (len != tlen + 1 + 2 * QFILE_NONCE || memcmp(s, title, tlen) || s[tlen] != ' ' ||
      !lines_unhex(l->nonce, s + tlen + 1))
    return 0;
  l->good = len + 1;
  return 1;
}

int lines_open_own(struct lines *l, int fd, char const *title, char const nonce[QFILE_NONCE])
{
  int r = lines_open(l, fd, title);
  return r == 1 && memcmp(l->nonce, nonce, QFILE_NONCE) ? 0 : r;
}

int lines_next(struct lines *l, char const **payload, size_t *len)
{
  char sum[SUM_DIGITS];
  char const *s;
  size_t n;
  int r = next_line(l, &s, &n);
  if (r != 1) return r;
  if (n < SUM_DIGITS + 1 || s[SUM_DIGITS] != ' ') return 0;
  *payload = s + SUM_DIGITS + 1;
  *len = n - SUM_DIGITS - 1;
  put_sum(sum, l->nonce, *payload, *len);
  if (memcmp(sum, s, sizeof sum)) return 0;
  l->good += n + 1;
  return 1;
}
