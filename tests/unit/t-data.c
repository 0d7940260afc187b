/* t-data.c - the text after DATA: every short string at every split, against a naive reading */

#include <stdlib.h>
#include <string.h>

#include "../naive.h"
#include "check.h"
#include "../../smtpd/data.h"

#define LENGTH 6

/* --- the real one --- */

static void collect(void *arg, char const *text, size_t len)
{
  struct naive *r = arg;
  memcpy(r->text + r->len, text, len);
  r->len += len;
}

static void real(struct naive *r, char const *s, size_t len, unsigned int cuts, int mend)
{
  struct data d;
  char piece[64];
  size_t pos = 0;
  *r = (struct naive){ .text = r->text };
  data_start(&d, mend, collect, r);
  while (pos < len && d.state != DATA_END) {
    size_t n = 1;
    while (pos + n < len && !(cuts >> (pos + n - 1) & 1)) n++;
    memcpy(piece, s + pos, n);
    pos += data_feed(&d, piece, n);
  }
  r->ended = d.state == DATA_END;
  r->used = r->ended ? pos : 0;
  r->bad = data_is_bad(&d);
  r->octets = d.octets;
}

/* What is stored of a message that will be refused does not matter. */
static int same(struct naive const *a, struct naive const *b)
{
  if (a->ended != b->ended || a->used != b->used || a->bad != b->bad) return 0;
  if (a->bad) return 1;
  return a->len == b->len && !memcmp(a->text, b->text, a->len) && a->octets == b->octets;
}

static unsigned long compared;

static int splits_agree(char const *s, size_t len, int mend)
{
  char texts[2][64];
  struct naive expected = { .text = texts[0] }, got = { .text = texts[1] };
  naive_read(&expected, s, len, mend);
  for (unsigned int cuts = 0; cuts < 1u << (len - 1); cuts++) {
    real(&got, s, len, cuts, mend);
    compared++;
    if (!same(&expected, &got)) return 0;
  }
  return 1;
}

static int all_strings(char const *alphabet, size_t length, char const *after, int mend)
{
  size_t letters = strlen(alphabet) + 1; /* with the NUL */
  char s[64];
  size_t tail = strlen(after);
  size_t total = 1;
  for (size_t i = 0; i < length; i++) total *= letters;
  for (size_t n = 0; n < total; n++) {
    size_t x = n;
    for (size_t i = 0; i < length; i++, x /= letters) s[i] = alphabet[x % letters];
    memcpy(s + length, after, tail);
    if (!splits_agree(s, length + tail, mend)) {
      printf("  differs:");
      for (size_t i = 0; i < length + tail; i++) printf(" %02x", (unsigned char)s[i]);
      printf("\n");
      return 0;
    }
  }
  return 1;
}

static unsigned int hops(char const *text)
{
  struct data d;
  char copy[256], collected[256];
  struct naive r = { .text = collected };
  size_t len = strlen(text);
  memcpy(copy, text, len);
  data_start(&d, 0, collect, &r);
  for (size_t i = 0; i < len; i++) data_feed(&d, copy + i, 1);
  return d.hops;
}

static void ignore(void *arg, char const *text, size_t len)
{
  (void)arg;
  (void)text;
  (void)len;
}

static uint64_t first_bad(char const *s, size_t len)
{
  struct data d;
  char copy[64];
  memcpy(copy, s, len);
  data_start(&d, 0, ignore, 0);
  data_feed(&d, copy, len);
  return d.first_bad;
}

int main(void)
{
  int ok[2] = { 1, 1 };
  for (int mend = 0; mend < 2; mend++) {
    for (size_t n = 1; n <= LENGTH; n++) ok[mend] &= all_strings("\r\n.x", n, "", mend);
    ok[mend] &= all_strings("\r\n.x", 4, "\r\n.\r\n", mend);
  }
  printf("  compared %lu strings and splits\n", compared);
  check(ok[0], "every string over CR LF . x NUL reads as defined, however it is split");
  check(ok[1], "the same with mended line ends");
  check(hops("Received: a\r\nRECEIVED: b\r\ndelivered-to:c\r\nReceivedx: no\r\n\r\nReceived: body\r\n") == 3,
        "Received and Delivered-To count in the header only");
  check(hops("X: a\r\n Received: folded\r\nReceived:\r\n") == 1, "a folded line is no field");
  check(first_bad("ab\r\ncd\nx\r\r\n.\r\n", 15) == 6, "the first bad byte's offset is kept");
  check(first_bad("a\0b\r\n.\r\n", 8) == 1, "a NUL's offset is kept");
  return check_done();
}
