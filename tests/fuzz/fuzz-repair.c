/* fuzz-repair.c - headers that pipit-ofmipd mends, and dates: ofmipd/repair.c, lib/date.c
 *
 * Input: a byte of options, the envelope's sender and a name (both end with a NUL), the header.
 */

#include <stdlib.h>
#include <string.h>

#include <skalibs/stralloc.h>

#include "../../ofmipd/repair.h"
#include "address.h"
#include "addrlist.h"
#include "date.h"
#include "fuzz.h"
#include "header.h"
#include "smtppath.h"

static stralloc asked = STRALLOC_ZERO; /* the addresses that may_write_as was asked about */

static enum repair_right may(void *data, char const *s, size_t len)
{
  int const *no = data;
  REQUIRE(len && address_is_clean(s, len));
  if (!stralloc_catb(&asked, s, len) || !stralloc_append(&asked, 0)) abort();
  return *no && s[0] == 'x' ? REPAIR_MAY_NOT : REPAIR_MAY;
}

static struct complete const *completion(void)
{
  static char rules[] = "=:dh\0*+:.pd.example\0?:.dd.example\0*.OLD:.new\0-.one.example:one.example";
  static struct complete hosts;
  hosts.rules = (stralloc){ .s = rules, .len = sizeof rules };
  return &hosts;
}

/* The sender as MAIL gives it, completed. */
static struct fuzz sender_of(struct fuzz f, stralloc *addr)
{
  static struct smtppath p;
  struct fuzz sender = { "", 0 };
  addr->len = 0;
  if (!stralloc_cats(addr, "FROM:<") || !stralloc_catb(addr, f.s, f.len) || !stralloc_cats(addr, ">")) abort();
  if (smtppath_parse(&p, "FROM:", addr->s, addr->len) != SMTPPATH_OK || p.used != addr->len) return sender;
  if (!stralloc_copyb(addr, p.s, p.len) || !complete_address(completion(), addr)) abort();
  if (addr->len) sender = (struct fuzz){ addr->s, addr->len };
  return sender;
}

static int mend(struct repair *r, unsigned int options, struct fuzz sender, struct fuzz name, char const *s, size_t len)
{
  static int no;
  static stralloc idhost = STRALLOC_ZERO;
  if (!stralloc_copys(&idhost, "id.example")) abort();
  no = options & 1;
  asked.len = 0;
  *r = (struct repair){ .hosts = completion(), .idhost = &idhost, .now = { .tv_sec = 1700000000 }, .sender = sender.s,
                        .senderlen = sender.len, .name = options & 2 ? name.s : 0, .namelen = name.len,
                        .login = options & 4 ? "ann" : 0, .may_write_as = options & 8 ? may : 0, .data = &no };
  int ok = repair_header(r, s, len);
  if (!ok) REQUIRE(r->code >= 400 && r->code < 600 && r->status && r->status[0] == (char)('0' + r->code / 100) && *r->text);
  return ok;
}

/* Was the address asked about, if somebody was to be asked? */
static int on_identity(void *data, struct addrlist_addr const *a)
{
  size_t i = 0;
  (void)data;
  if (!a->len) return 1;
  while (i < asked.len && (strlen(asked.s + i) != a->len || memcmp(asked.s + i, a->s, a->len)))
    i += strlen(asked.s + i) + 1;
  REQUIRE(i < asked.len);
  return 1;
}

static int is(struct header_field const *f, enum header_name name)
{
  return f->name == name;
}

/* What everybody may rely on. */
static void check_out(struct repair const *r, unsigned int options)
{
  struct header h = HEADER_ZERO(2 * REPAIR_OUT_MAX);
  struct header_field f;
  size_t from = 0, sender = 0, date = 0, id = 0, resent = 0;
  REQUIRE(r->out.len && r->out.len <= REPAIR_OUT_MAX);
  REQUIRE(header_feed(&h, r->out.s, r->out.len) == (ssize_t)r->out.len && !h.ended);
  REQUIRE(header_feed(&h, "\n", 1) == 1 && h.ended && h.empty && h.len == r->out.len);
  for (size_t pos = 0; header_next(r->out.s, r->out.len, &pos, &f);) {
    from += (size_t)is(&f, HEADER_FROM);
    sender += (size_t)is(&f, HEADER_SENDER);
    date += (size_t)is(&f, HEADER_DATE);
    id += (size_t)is(&f, HEADER_MESSAGE_ID);
    resent += f.name >= HEADER_RESENT_SENDER;
    REQUIRE(!is(&f, HEADER_BCC) && !is(&f, HEADER_RESENT_BCC) && !is(&f, HEADER_RETURN_PATH));
    int identity = is(&f, HEADER_FROM) || is(&f, HEADER_SENDER) || is(&f, HEADER_RESENT_FROM) || is(&f, HEADER_RESENT_SENDER);
    if (identity && options & 8) REQUIRE(addrlist_parse(f.s + f.value, f.len - f.value, on_identity, 0) == 1);
  }
  REQUIRE(from <= 1 && sender <= 1 && date <= 1 && id <= 1 && (resent || (from && date && id)));
  stralloc_free(&h.text);
}

static void test_header(struct fuzz f, unsigned int options)
{
  struct repair r, again;
  stralloc addr = STRALLOC_ZERO;
  struct fuzz sender = sender_of(fuzz_until(&f, 0), &addr), name = fuzz_until(&f, 0);
  size_t len;
  char *s = fuzz_unpack(f, &len);
  struct header h = HEADER_ZERO(REPAIR_HEADER_MAX);
  int fits = !len || header_feed(&h, s, len) >= 0;
  if (fits && header_finish(&h)) {
    char *copy = fuzz_copy(h.text.s ? h.text.s : "", h.len);
    int ok = mend(&r, options, sender, name, copy, h.len);
    if (ok) {
      stralloc first = r.out;
      /* Everybody who is named now was asked about, but those whom we named: the sender and the login. */
      REQUIRE(mend(&again, options & ~1u, sender, name, first.s, first.len));
      REQUIRE(again.out.len == first.len);
      if (!(options & 2)) REQUIRE(!memcmp(again.out.s, first.s, first.len)); /* else From has moved */
      stralloc_free(&again.out);
      if (!(options & 2)) check_out(&r, options);
    }
    stralloc_free(&r.out);
    free(copy);
  }
  stralloc_free(&h.text);
  stralloc_free(&addr);
  free(s);
}

static void test_date(struct fuzz f)
{
  char out[DATE_MAX], again[DATE_MAX];
  char *s = fuzz_copy(f.s, f.len);
  if (date_mend(out, s, f.len) == 2) REQUIRE(strlen(out) < DATE_MAX && date_mend(again, out, strlen(out)) == 1);
  free(s);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  return 0;
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  struct fuzz f = { (char const *)in, inlen };
  unsigned int options = fuzz_byte(&f);
  if (options & 128) test_date(f);
  else test_header(f, options);
  return 0;
}
