/* t-envelope.c - envelopes, read in pieces of any size */

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "envelope.h"
#include "qfile.h"

struct example {
  char const *why;
  char const *s;
  size_t len;
  int code;
  uint32_t rcpts;
};
#define EX(why, s, code, rcpts) { why, s, sizeof(s) - 1, code, rcpts }

static struct example const examples[] = {
  EX("sender and two recipients", "Fa@b\0Tc@d\0Te@f\0", 0, 2),
  EX("the additional NUL", "Fa@b\0Tc@d\0\0", 0, 1),
  EX("no recipients", "Fa@b\0", 0, 0),
  EX("no recipients, the additional NUL", "Fa@b\0\0", 0, 0),
  EX("the empty sender", "F\0Tc@d\0\0", 0, 1),
  EX("an empty recipient", "Fa\0T\0\0", 0, 1),
  EX("any byte in an address", "F\001\n\377 \"\0T\r\n.\0", 0, 1),
  EX("X records of the message", "Fa\0XBODY=8BITMIME\0XRET=\0", 0, 0),
  EX("X records of a recipient", "Fa\0Tb\0XNOTIFY=NEVER\0Tc\0", 0, 2),
  EX("an X record behind the last recipient", "Fa\0Tb\0XNOTIFY=NEVER\0", 91, 1),
  EX("an X record without a name", "Fa\0X=1\0Tb\0", 91, 0),
  EX("an X record without '='", "Fa\0XBODY\0Tb\0", 91, 0),
  EX("a name with a space", "Fa\0XA B=1\0Tb\0", 91, 0),
  EX("a newline in a value", "Fa\0XA=1\n2\0Tb\0", 91, 0),
  EX("DEL in a value", "Fa\0XA=\177\0Tb\0", 91, 0),
  EX("nothing", "", 54, 0),
  EX("nothing but NUL", "\0", 91, 0),
  EX("a recipient first", "Ta\0", 91, 0),
  EX("another letter first", "Xa=b\0", 91, 0),
  EX("a second sender", "Fa\0Fb\0", 91, 0),
  EX("a small letter", "Fa\0tb\0", 91, 0),
  EX("cut off in the sender", "Fa", 54, 0),
  EX("cut off in a recipient", "Fa\0Tb\0Tc", 54, 1),
  EX("cut off in a name", "Fa\0XBO", 54, 0),
  EX("cut off in a value", "Fa\0XBODY=8", 54, 0),
};

/* Read s[0..len) in pieces of <step> bytes (0: of random sizes). */
static size_t take(struct envelope *e, char const *s, size_t len, size_t step)
{
  struct envelope const zero = ENVELOPE_ZERO;
  size_t at = 0;
  *e = zero;
  while (at < len) {
    size_t n = step ? step : 1 + (size_t)rand() % 9;
    if (n > len - at) n = len - at;
    size_t used = envelope_take(e, s + at, n);
    at += used;
    if (used < n || e->code || e->state == ENVELOPE_END) break;
  }
  return at;
}

static void test_examples(void)
{
  static size_t const steps[] = { 1, 2, 3, 7, 1000 };
  for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
    struct example const *x = &examples[i];
    int ok = 1;
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
      struct envelope e;
      take(&e, x->s, x->len, steps[k]);
      ok &= envelope_check(&e) == x->code && e.rcpts == x->rcpts;
    }
    check(ok, x->why);
  }
}

static int code_of_address(size_t len, char letter)
{
  char s[QFILE_ADDR_MAX + 16] = "Fa\0";
  struct envelope e;
  size_t at = letter == 'F' ? 0 : 3;
  s[at] = letter;
  memset(s + at + 1, 'x', len);
  if (letter == 'X') s[at + 2] = '=';
  s[at + 1 + len] = 0;
  take(&e, s, at + len + 2, 0);
  if (letter == 'X' && !e.code) return 0;
  return envelope_check(&e);
}

static void test_lengths(void)
{
  static char const letters[] = "FTX";
  for (char const *letter = letters; *letter; letter++) {
    check(code_of_address(QFILE_ADDR_MAX - 1, *letter) == 0, "a record of 1002 bytes");
    check(code_of_address(QFILE_ADDR_MAX, *letter) == 11, "a record of 1003 bytes is too long");
  }
}

/* The same judgement, made over the whole at once and in the plainest way. */
static int model(char const *s, size_t len, uint32_t *rcpts)
{
  size_t at = 0;
  int dangling = 0;
  *rcpts = 0;
  if (!len) return 54;
  for (int first = 1; at < len; first = 0) {
    char letter = s[at++];
    if (!letter && !first) break;
    if (first ? letter != 'F' : letter != 'T' && letter != 'X') return 91;
    size_t n = strnlen(s + at, len - at);
    if (letter == 'X') {
      size_t eq = 0;
      while (eq < n && memchr("abFTX-", s[at + eq], 6)) eq++;
      if (eq < n && (s[at + eq] != '=' || !eq)) return 91;
      if (eq == n && at + n < len) return 91;
      for (size_t i = eq; i < n; i++)
        if ((unsigned char)s[at + i] < 32) return 91;
    }
    if (at + n == len) return 54;
    at += n + 1;
    if (letter == 'T') (*rcpts)++;
    dangling = letter == 'X' && *rcpts;
  }
  return dangling ? 91 : 0;
}

static void test_random(void)
{
  static char const alphabet[] = "FTX=ab\0\0\0\n-";
  int ok = 1, taken = 0;
  srand(1);
  for (int i = 0; i < 200000; i++) {
    char s[24];
    size_t len = (size_t)rand() % sizeof s;
    for (size_t k = 0; k < len; k++) s[k] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
    if (len && rand() % 8) s[0] = 'F';
    struct envelope e;
    uint32_t rcpts;
    size_t used = take(&e, s, len, (size_t)rand() % 5);
    int code = model(s, len, &rcpts);
    ok &= envelope_check(&e) == code && used <= len && (code || rcpts == e.rcpts);
    taken += !code && rcpts;
  }
  check(ok && taken > 1000, "200,000 random envelopes are judged as the plain model does");
}

int main(void)
{
  test_examples();
  test_lengths();
  test_random();
  return check_done();
}
