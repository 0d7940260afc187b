/* output.c - write a message as SMTP data; see output.h */

#include <string.h>

#include "output.h"

static int has_eightbit(char const *s, size_t len)
{
  uint64_t bits = 0, word;
  size_t i = 0;
  for (; i + sizeof word <= len; i += sizeof word) {
    memcpy(&word, s + i, sizeof word);
    bits |= word;
  }
  unsigned char rest = 0;
  for (; i < len; i++) rest |= (unsigned char)s[i];
  return (bits & 0x8080808080808080u) != 0 || rest > 127;
}

/* The start of a line, where s[0..len) has some of it: NULs, and a dot to double the next one
 * with. The bytes used. */
static size_t put_start(struct output *o, char **out, char const *s, size_t len)
{
  size_t nuls = 0;
  while (nuls < len && !s[nuls]) nuls++;
  memset(*out, 0, nuls);
  *out += nuls;
  o->octets += nuls;
  if (nuls) o->inside = OUTPUT_NULS;
  if (nuls == len) return nuls;
  if (s[nuls] == '.') {
    *(*out)++ = '.';
    if (o->inside) o->octets++; /* a strict receiver keeps this one */
  }
  o->inside = OUTPUT_TEXT;
  return nuls;
}

/* A piece of a line, without CR and LF. */
static char *put_piece(struct output *o, char *out, char const *s, size_t len)
{
  size_t done = o->inside == OUTPUT_TEXT ? 0 : put_start(o, &out, s, len);
  memcpy(out, s + done, len - done);
  o->octets += len - done;
  return out + len - done;
}

static char *put_crlf(struct output *o, char *out)
{
  *out++ = '\r';
  *out++ = '\n';
  o->inside = OUTPUT_NOTHING;
  o->octets += 2;
  return out;
}

/* A stretch without LF: split it at its CRs. */
static char *put_stretch(struct output *o, char *out, char const *s, size_t len)
{
  while (len) {
    char const *cr = memchr(s, '\r', len);
    size_t n = cr ? (size_t)(cr - s) : len;
    if (n) out = put_piece(o, out, s, n);
    o->after_cr = cr != 0;
    if (!cr) break;
    out = put_crlf(o, out);
    s += n + 1;
    len -= n + 1;
  }
  return out;
}

size_t output_add(struct output *o, char *out, char const *in, size_t len)
{
  char *p = out;
  if (!o->eightbit) o->eightbit = has_eightbit(in, len);
  while (len) {
    char const *lf = memchr(in, '\n', len);
    size_t n = lf ? (size_t)(lf - in) : len;
    p = put_stretch(o, p, in, n);
    if (!lf) break;
    if (!o->after_cr) p = put_crlf(o, p);
    o->after_cr = 0;
    in += n + 1;
    len -= n + 1;
  }
  return (size_t)(p - out);
}

size_t output_end(struct output *o, char *out)
{
  char *p = out;
  if (o->inside) p = put_crlf(o, p);
  memcpy(p, ".\r\n", 3);
  return (size_t)(p - out) + 3;
}
