/* fuzz-maildirsize.c - what others write into a Maildir: local/sizefile.c, local/quota.c
 *
 * Input: a file maildirsize.
 */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../local/sizefile.h"
#include "fuzz.h"

/* Take a number of digits, up to that of 64 bits with a sign. 1, or 0. */
static int take_number(struct fuzz *f, __int128 *n)
{
  size_t digits = 0;
  for (*n = 0; f->len && isdigit((unsigned char)*f->s); f->s++, f->len--, digits++)
    if (*n <= INT64_MAX) *n = *n * 10 + (*f->s - '0');
  return digits && *n <= INT64_MAX;
}

static int take_quota(struct fuzz line, struct quota *q)
{
  *q = (struct quota){ .given = 1 };
  for (;;) {
    __int128 n;
    if (!take_number(&line, &n)) return 0;
    char kind = line.len && *line.s != ',' ? *line.s : 'S';
    if (line.len && *line.s != ',') line.s++, line.len--;
    if (kind != 'S' && kind != 'C') return 0;
    *(kind == 'S' ? &q->size : &q->count) = (uint64_t)n;
    if (!line.len) return 1;
    if (*line.s != ',') return 0;
    line.s++, line.len--;
  }
}

static int take_signed(struct fuzz *f, __int128 *n)
{
  while (f->len && *f->s == ' ') f->s++, f->len--;
  int minus = f->len && *f->s == '-';
  f->s += minus, f->len -= (size_t)minus;
  if (!take_number(f, n)) return 0;
  if (minus) *n = -*n;
  return 1;
}

/* Add n to the sum, which has 64 bits. */
static int add(__int128 *sum, __int128 n)
{
  *sum += n;
  return *sum <= INT64_MAX && *sum >= INT64_MIN;
}

static int expect(struct fuzz f, struct sizefile *t)
{
  __int128 sums[2] = { 0, 0 };
  *t = (struct sizefile){ .lines = 0 };
  if (!f.len || !memchr(f.s, '\n', f.len)) return 0;
  if (!take_quota(fuzz_until(&f, '\n'), &t->quota)) {
    t->quota = (struct quota){ .given = 0 };
    return 0;
  }
  for (; f.len; t->lines++) {
    __int128 size, count;
    if (!memchr(f.s, '\n', f.len)) return 0;
    struct fuzz line = fuzz_until(&f, '\n');
    if (!take_signed(&line, &size) || !take_signed(&line, &count)) return 0;
    if (!add(sums, size) || !add(sums + 1, count)) return 0;
  }
  t->size = (int64_t)sums[0];
  t->count = (int64_t)sums[1];
  return t->lines && t->size >= 0 && t->count >= 0;
}

static int same_quota(struct quota const *a, struct quota const *b)
{
  return a->given == b->given && a->size == b->size && a->count == b->count;
}

/* What is written anew is read as the same. */
static void again(struct sizefile const *t)
{
  char text[QUOTA_FMT + 64];
  struct sizefile u;
  size_t n = quota_write(&t->quota, text);
  REQUIRE(n < QUOTA_FMT && n == strlen(text));
  n += (size_t)sprintf(text + n, "\n%lld %lld\n", (long long)t->size, (long long)t->count);
  REQUIRE(sizefile_parse(&u, text, n) && same_quota(&u.quota, &t->quota) && u.size == t->size &&
          u.count == t->count && u.lines == 1);
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  size_t len;
  struct sizefile t, e;
  char *s = fuzz_unpack((struct fuzz){ (char const *)in, inlen }, &len);
  int known = sizefile_parse(&t, s, len);
  REQUIRE(known == expect((struct fuzz){ s, len }, &e) && same_quota(&t.quota, &e.quota));
  if (known) {
    REQUIRE(t.size == e.size && t.count == e.count && t.lines == e.lines);
    again(&t);
  }
  free(s);
  return 0;
}
