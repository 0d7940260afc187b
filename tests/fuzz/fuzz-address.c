/* fuzz-address.c - addresses: lib/smtppath.c, lib/addrlist.c, remote/quote.c
 *
 * Input: a byte that says which, then the text.
 */

#include <stdlib.h>
#include <string.h>

#include <skalibs/stralloc.h>

#include "../../remote/quote.h"
#include "address.h"
#include "addrlist.h"
#include "fuzz.h"
#include "smtppath.h"

static int is_control(char c)
{
  return (unsigned char)c < 32 || c == 127;
}

static int has_control(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (is_control(s[i])) return 1;
  return 0;
}

static int is_same(char const *a, size_t alen, char const *b, size_t blen)
{
  return alen == blen && (!alen || !memcmp(a, b, alen));
}

/* --- MAIL and RCPT --- */

/* The address between angle brackets reads as s[0..len) again. */
static void check_path(char const *s, size_t len)
{
  static struct smtppath p;
  stralloc arg = STRALLOC_ZERO;
  REQUIRE(stralloc_copys(&arg, "TO:<") && quote_address(&arg, s, len) == 1);
  REQUIRE(!has_control(arg.s, arg.len) && stralloc_append(&arg, '>'));
  char *copy = fuzz_copy(arg.s, arg.len);
  REQUIRE(smtppath_parse(&p, "TO:", copy, arg.len) == SMTPPATH_OK);
  REQUIRE(p.used == arg.len && is_same(p.s, p.len, s, len));
  free(copy);
  stralloc_free(&arg);
}

/* Each parameter lies in the argument behind the last one. */
static void walk_params(char const *s, size_t len, size_t pos)
{
  struct smtpparam p;
  size_t before = pos;
  while (smtpparam_next(&p, s, len, &pos) == 1) {
    REQUIRE(pos > before && pos <= len);
    REQUIRE(p.name > s + before && p.namelen && p.namelen <= (size_t)(s + len - p.name));
    REQUIRE(p.value >= p.name + p.namelen && p.valuelen <= (size_t)(s + len - p.value));
    REQUIRE(!memchr(p.name, '=', p.namelen) && !has_control(p.value, p.valuelen));
    REQUIRE(!memchr(p.name, ' ', p.namelen) && !memchr(p.value, ' ', p.valuelen));
    REQUIRE(smtpparam_is(&p, "SIZE") <= (p.namelen == 4));
    REQUIRE(smtpparam_value_is(&p, "8BITMIME") <= (p.valuelen == 8));
    before = pos;
  }
}

static void test_path(char const *s, size_t len)
{
  static struct smtppath p;
  enum smtppath_result r = smtppath_parse(&p, "FROM:", s, len);
  if (r == SMTPPATH_UNSAFE) REQUIRE(has_control(s, len));
  if (r == SMTPPATH_LONG) REQUIRE(len > ADDRESS_MAX);
  if (r != SMTPPATH_OK) return;
  REQUIRE(p.len <= ADDRESS_MAX && p.used >= 5 && p.used <= len && p.len < p.used);
  REQUIRE(!has_control(p.s, p.len));
  size_t at = address_at(p.s, p.len);
  if (at < p.len) REQUIRE(at && at + 1 < p.len && !memchr(p.s + at, ' ', p.len - at));
  check_path(p.s, p.len);
  walk_params(s, len, p.used);
}

/* Any address is either quoted so that it reads back, or refused. */
static void test_quote(char const *s, size_t len)
{
  stralloc sa = STRALLOC_ZERO;
  if (quote_address(&sa, s, len) == 1 && len <= ADDRESS_MAX) check_path(s, len);
  stralloc_free(&sa);
}

/* --- lists --- */

struct list {
  char const *s;
  size_t len;
  size_t last; /* where the last address ended */
  size_t count;
  size_t stop_at;
  stralloc rewritten; /* the addresses, quoted, with commas */
  stralloc plain;     /* each as it was, its length before it */
};

/* Does the domain consist of ordinary characters? Others cannot be quoted. */
static int is_plain_domain(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (s[i] <= ' ' || s[i] == 127 || strchr("()<>[]:;@\\,\"", s[i])) return 0;
  return len && s[0] != '.' && s[len - 1] != '.';
}

static int on_address(void *data, struct addrlist_addr const *a)
{
  struct list *l = data;
  REQUIRE(l->last <= a->element && a->element <= a->route && a->route <= a->local);
  REQUIRE(a->local <= a->end && a->end <= a->resume && a->resume <= l->len);
  REQUIRE(!a->nocomma || a->comma <= a->element);
  REQUIRE(a->at <= a->len && (a->at == a->len || (a->s[a->at] == '@' && a->at)));
  REQUIRE(a->len <= a->end - a->local);
  l->last = a->resume;
  if (++l->count == l->stop_at) return 0;
  char *copy = fuzz_copy(a->s, a->len);
  if (a->at < a->len && a->at == address_at(copy, a->len) &&
      is_plain_domain(copy + a->at + 1, a->len - a->at - 1)) {
    REQUIRE(!l->rewritten.len || stralloc_append(&l->rewritten, ','));
    REQUIRE(addrlist_quote(&l->rewritten, copy, a->len));
    REQUIRE(stralloc_catb(&l->plain, (char const *)&a->len, sizeof a->len));
    REQUIRE(stralloc_catb(&l->plain, copy, a->len));
  }
  free(copy);
  return 1;
}

static int on_again(void *data, struct addrlist_addr const *a)
{
  struct fuzz *f = data;
  size_t len;
  REQUIRE(f->len >= sizeof len);
  memcpy(&len, f->s, sizeof len);
  REQUIRE(is_same(a->s, a->len, f->s + sizeof len, len));
  REQUIRE(!a->nocomma);
  f->s += sizeof len + len;
  f->len -= sizeof len + len;
  return 1;
}

static void test_list(char const *s, size_t len, size_t stop_at)
{
  struct list l = {
    .s = s, .len = len, .stop_at = stop_at, .rewritten = STRALLOC_ZERO, .plain = STRALLOC_ZERO
  };
  int r = addrlist_parse(s, len, on_address, &l);
  REQUIRE((r == -1) == (l.count == stop_at));
  struct fuzz again = { l.plain.s, l.plain.len };
  char *copy = fuzz_copy(l.rewritten.s, l.rewritten.len);
  REQUIRE(addrlist_parse(copy, l.rewritten.len, on_again, &again) == 1);
  REQUIRE(!again.len);
  free(copy);
  stralloc_free(&l.rewritten);
  stralloc_free(&l.plain);
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  struct fuzz f = { (char const *)in, inlen };
  unsigned int which = fuzz_byte(&f);
  size_t len;
  char *s = fuzz_unpack(f, &len);
  switch (which % 4) {
  case 0: test_path(s, len); break;
  case 1: test_quote(s, len); break;
  default: test_list(s, len, which & 4 ? 2 : SIZE_MAX);
  }
  free(s);
  return 0;
}
