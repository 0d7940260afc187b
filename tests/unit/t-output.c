/* t-output.c - SMTP data: every string over {CR, LF, '.', 'x'} up to length 8, and
 * with NUL instead of 'x', at every split */

#include <string.h>

#include "check.h"
#include "../../remote/output.h"

#define LENGTH_MAX 8
#define ROOM       (OUTPUT_GROWTH * LENGTH_MAX + OUTPUT_END)

/* What the lines of the message are, by a plain reading of output.h. */
static size_t model(char const *in, size_t len, char *out)
{
  size_t n = 0, i = 0;
  while (i < len) {
    while (i < len && !in[i]) out[n++] = in[i++];
    if (i < len && in[i] == '.') out[n++] = '.';
    while (i < len && in[i] != '\r' && in[i] != '\n') out[n++] = in[i++];
    out[n++] = '\r';
    out[n++] = '\n';
    if (i < len) i += i + 1 < len && in[i] == '\r' && in[i + 1] == '\n' ? 2 : 1;
  }
  memcpy(out + n, ".\r\n", 3);
  return n + 3;
}

static size_t convert(char const *in, size_t len, size_t split, char *out, struct output *o)
{
  *o = (struct output)OUTPUT_ZERO;
  size_t n = output_add(o, out, in, split);
  n += output_add(o, out + n, in + split, len - split);
  return n + output_end(o, out + n);
}

static int only_crlf(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    if (s[i] == '\r' && (i + 1 == len || s[i + 1] != '\n')) return 0;
    if (s[i] == '\n' && (!i || s[i - 1] != '\r')) return 0;
  }
  return 1;
}

/* A line of one dot, only at the end. */
static int one_end(char const *s, size_t len)
{
  size_t found = 0;
  for (size_t i = 0; i + 3 <= len; i++)
    if (!memcmp(s + i, ".\r\n", 3) && (!i || s[i - 1] == '\n')) found += i + 3 == len ? 1 : 2;
  return found == 1;
}

/* The receiver's side: take the end and the doubled dots away. */
static size_t receive(char const *s, size_t len, char *out)
{
  size_t n = 0;
  len -= 3;
  for (size_t i = 0; i < len; i++)
    if (s[i] != '.' || (i && s[i - 1] != '\n')) out[n++] = s[i];
    else if (i + 1 < len) out[n++] = s[++i];
  return n;
}

struct seen {
  int model, crlf, end, octets, again;
};

static void try_string(char const *in, size_t len, struct seen *seen)
{
  char expected[ROOM], out[ROOM], back[ROOM], second[OUTPUT_GROWTH * ROOM + OUTPUT_END];
  struct output o;
  size_t want = model(in, len, expected);
  for (size_t split = 0; split <= len; split++) {
    size_t n = convert(in, len, split, out, &o);
    seen->model &= n == want && !memcmp(out, expected, n);
    seen->crlf &= only_crlf(out, n);
    seen->end &= one_end(out, n);
    size_t m = receive(out, n, back);
    seen->octets &= o.octets == m;
    size_t k = convert(back, m, 0, second, &o);
    seen->again &= k == n && !memcmp(second, out, n);
  }
}

static void try_all(struct seen *seen, char const alphabet[4])
{
  for (size_t len = 0; len <= LENGTH_MAX; len++)
    for (unsigned int code = 0; code < 1u << 2 * len; code++) {
      char in[LENGTH_MAX];
      for (size_t i = 0; i < len; i++) in[i] = alphabet[code >> 2 * i & 3];
      try_string(in, len, seen);
    }
}

static int eightbit(char const *in, size_t len)
{
  char out[64];
  struct output o = OUTPUT_ZERO;
  output_add(&o, out, in, len);
  return o.eightbit;
}

int main(void)
{
  struct seen seen = { 1, 1, 1, 1, 1 };
  try_all(&seen, "\r\n.x");
  struct seen nul = { 1, 1, 1, 1, 1 };
  try_all(&nul, "\r\n.");
  check(seen.model, "the lines are the message's lines, wherever its pieces are split");
  check(seen.crlf, "no lone CR, no lone LF");
  check(seen.end, "exactly one end of data, at the end");
  check(seen.octets, "the size is the one that the receiver stores");
  check(seen.again, "sending on what was received changes nothing");
  check(nul.model && nul.crlf && nul.end && nul.octets,
        "the same with NULs, behind which a dot at a line's start is doubled too");
  int ok = 1;
  for (size_t i = 0; i < 20; i++) {
    char in[20];
    memset(in, 'x', sizeof in);
    ok &= !eightbit(in, sizeof in);
    in[i] = '\x80';
    ok &= eightbit(in, sizeof in);
  }
  check(ok, "one 8-bit byte is seen wherever it stands");
  return check_done();
}
