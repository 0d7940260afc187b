/* t-quote.c - addresses as SMTP writes them, and those that are never written */

#include <stdio.h>
#include <string.h>

#include <skalibs/stralloc.h>

#include "check.h"
#include "../../remote/quote.h"

static struct quote_case {
  char const *in, *out; /* out: NULL when it must not be sent */
} const cases[] = {
  { "", "" },
  { "a@b", "a@b" },
  { "a.b+c-d_e=f@b.example", "a.b+c-d_e=f@b.example" },
  { "!#$%&'*/?^`{|}~@b", "!#$%&'*/?^`{|}~@b" },
  { "bare", "bare" },
  { "a b@c", "\"a b\"@c" },
  { "a@b@c", "\"a@b\"@c" },
  { "a\"\\b@c", "\"a\\\"\\\\b\"@c" },
  { ".a@c", "\".a\"@c" },
  { "a.@c", "\"a.\"@c" },
  { "a..b@c", "\"a..b\"@c" },
  { "a>b@c", "\"a>b\"@c" },
  { "(x)@c", "\"(x)\"@c" },
  { "k\xc3\xa4se@c", "\"k\xc3\xa4se\"@c" },
  { "a@[192.0.2.1]", "a@[192.0.2.1]" },
  { "a@[IPv6:::1]", "a@[IPv6:::1]" },
  { "@b", 0 },
  { "a@", 0 },
  { "@", 0 },
  { "a\r\nDATA@b", 0 },
  { "a\nb@c", 0 },
  { "a\x01@c", 0 },
  { "a\x7f@c", 0 },
  { "a@b\r\nRSET", 0 },
  { "a@b> SIZE=1", 0 },
  { "a@b>", 0 },
  { "a@b<c", 0 },
  { "a@b c", 0 },
  { "a@b\"c", 0 },
  { "a@b\\c", 0 },
  { "a@b(c)", 0 },
  { "a@b,c", 0 },
};

int main(void)
{
  stralloc out = STRALLOC_ZERO;
  char why[64];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct quote_case const *c = cases + i;
    out.len = 0;
    int r = quote_address(&out, c->in, strlen(c->in));
    snprintf(why, sizeof why, "case %zu: %s", i, c->out ? c->out : "not to be sent");
    if (!stralloc_0(&out)) return 111;
    if (c->out) check(r == 1 && !strcmp(out.s, c->out), why);
    else check(r == 0, why);
  }
  out.len = 0;
  check(quote_address(&out, "a\0b@c", 5) == 0, "a NUL is not to be sent");
  stralloc_free(&out);
  return check_done();
}
