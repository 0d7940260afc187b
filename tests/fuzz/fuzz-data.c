/* fuzz-data.c - message text as SMTP carries it: smtpd/data.c reads it, remote/output.c writes it
 *
 * Input: a byte of options, a byte that seeds the cuts, the text.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../remote/output.h"
#include "../../smtpd/data.h"
#include "../naive.h"
#include "fuzz.h"

static void collect(void *arg, char const *text, size_t len)
{
  struct naive *r = arg;
  memcpy(r->text + r->len, text, len);
  r->len += len;
}

static void read_data(struct naive *r, struct data *d, char const *s, size_t len, uint32_t seed,
                      int mend)
{
  size_t pos = 0;
  *r = (struct naive){ .text = r->text };
  data_start(d, mend, collect, r);
  while (pos < len && d->state != DATA_END) {
    size_t n = fuzz_piece(&seed, len - pos);
    char *piece = fuzz_copy(s + pos, n);
    size_t used = data_feed(d, piece, n);
    REQUIRE(used <= n && (used == n || d->state == DATA_END));
    pos += used;
    free(piece);
  }
  r->ended = d->state == DATA_END;
  r->used = r->ended ? pos : 0;
  r->bad = data_is_bad(d);
  r->octets = d->octets;
}

static int is_field(char const *line, size_t len, char const *name)
{
  size_t n = strlen(name);
  return len >= n && !strncasecmp(line, name, n);
}

/* The fields that count as hops, found in the text as it is stored. */
static unsigned int hops(char const *s, size_t len)
{
  unsigned int n = 0;
  for (char const *nl; len && (nl = memchr(s, '\n', len)) && nl != s;) {
    size_t line = (size_t)(nl - s);
    n += is_field(s, line, "Received:") || is_field(s, line, "Delivered-To:");
    s += line + 1;
    len -= line + 1;
  }
  return n;
}

static void test_reading(char const *s, size_t len, uint32_t seed, int mend)
{
  struct data d;
  struct naive expected = { .text = malloc(len + 1) }, got = { .text = malloc(len + 1) };
  naive_read(&expected, s, len, mend);
  read_data(&got, &d, s, len, seed, mend);
  REQUIRE(got.ended == expected.ended && got.used == expected.used);
  REQUIRE(got.bad == expected.bad);
  if (!got.bad) { /* what is stored of a message that will be refused does not matter */
    REQUIRE(got.octets == expected.octets);
    REQUIRE(got.len == expected.len && !memcmp(got.text, expected.text, got.len));
    REQUIRE(!memchr(got.text, '\r', got.len) && !memchr(got.text, 0, got.len));
    REQUIRE(d.hops == hops(got.text, got.len));
  } else {
    REQUIRE(d.first_bad < len && memchr("\r\n", s[d.first_bad], 3));
  }
  free(expected.text);
  free(got.text);
}

/* What a stored message is after the way through SMTP: each line end an LF, the last one there. */
static size_t normal(char *out, char const *s, size_t len)
{
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    if (s[i] == '\r' && i + 1 < len && s[i + 1] == '\n') continue;
    out[n++] = s[i] == '\r' ? '\n' : s[i];
  }
  if (n && out[n - 1] != '\n') out[n++] = '\n';
  return n;
}

static size_t write_data(struct output *o, char *out, char const *s, size_t len, uint32_t seed)
{
  size_t total = 0;
  for (size_t pos = 0; pos < len;) {
    size_t n = fuzz_piece(&seed, len - pos);
    char *piece = malloc(OUTPUT_GROWTH * n);
    size_t written = output_add(o, piece, s + pos, n);
    REQUIRE(written <= OUTPUT_GROWTH * n);
    memcpy(out + total, piece, written);
    total += written;
    pos += n;
    free(piece);
  }
  size_t end = output_end(o, out + total);
  REQUIRE(end <= OUTPUT_END);
  return total + end;
}

static int lines_are_whole(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    if (s[i] == '\n' && (!i || s[i - 1] != '\r')) return 0;
    if (s[i] == '\r' && (i + 1 == len || s[i + 1] != '\n')) return 0;
  }
  return len >= 3 && !memcmp(s + len - 3, ".\r\n", 3);
}

/* A receiver that drops NULs finds the same end. */
static void check_without_nuls(char const *s, size_t len)
{
  struct data d;
  size_t n = 0;
  char *out = malloc(len);
  struct naive r = { .text = malloc(len) };
  for (size_t i = 0; i < len; i++)
    if (s[i]) out[n++] = s[i];
  read_data(&r, &d, out, n, 0, 0);
  REQUIRE(r.ended && r.used == n && !r.bad);
  free(out);
  free(r.text);
}

static void test_writing(char const *s, size_t len, uint32_t seed)
{
  struct output o = OUTPUT_ZERO;
  struct data d;
  size_t room = OUTPUT_GROWTH * len + OUTPUT_END;
  char *out = malloc(room), *expected = malloc(len + 1);
  struct naive back = { .text = malloc(room) };
  size_t n = write_data(&o, out, s, len, seed);
  int eight = 0;
  for (size_t i = 0; i < len; i++) eight |= s[i] & 0x80;
  REQUIRE(!o.eightbit == !eight);
  REQUIRE(lines_are_whole(out, n));
  read_data(&back, &d, out, n, seed, 0);
  REQUIRE(back.ended && back.used == n);
  REQUIRE(!d.bare_lf && !d.bare_cr);
  REQUIRE(d.octets == o.octets);
  size_t len2 = normal(expected, s, len);
  check_without_nuls(out, n);
  if (!d.nul) REQUIRE(back.len == len2 && !memcmp(back.text, expected, len2));
  free(out);
  free(expected);
  free(back.text);
}

int LLVMFuzzerTestOneInput(uint8_t const *s, size_t len)
{
  struct fuzz f = { (char const *)s, len };
  unsigned int options = fuzz_byte(&f);
  uint32_t seed = fuzz_byte(&f);
  size_t textlen;
  char *text = fuzz_unpack(f, &textlen);
  if (options & 1)
    test_reading(text, textlen, seed, options >> 1 & 1);
  else
    test_writing(text, textlen, seed);
  free(text);
  return 0;
}
