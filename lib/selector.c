/* selector.c - which mail a command means; see selector.h */

#include <string.h>

#include <skalibs/bytestr.h>

#include "address.h"
#include "qfile.h"
#include "selector.h"

#define DOMAIN_MAX 255

static int is_text(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)s[i] < 32 || s[i] == 127) return 0;
  return 1;
}

static int same(char const *a, size_t alen, char const *b, size_t blen)
{
  return alen == blen && !case_diffb(a, alen, b);
}

static char const *make_id(struct selector *sel)
{
  char name[QFILE_NAME_MAX];
  if (!sel->len || sel->len >= sizeof name) return "not the id of a message";
  memcpy(name, sel->value, sel->len);
  name[sel->len] = 0;
  return strlen(name) == sel->len && qfile_scan_id(name, &sel->id) ? 0 : "not the id of a message";
}

char const *selector_make(struct selector *sel, char kind, char const *value, size_t len)
{
  *sel = (struct selector){ .kind = kind, .value = value, .len = len };
  if (len > SELECTOR_MAX) return "too long";
  if (!is_text(value, len)) return "has control characters";
  switch (kind) {
  case SELECTOR_ALL: return len ? "all mail has no name" : 0;
  case SELECTOR_ID: return make_id(sel);
  case SELECTOR_SENDER: return len == 1 && *value == '@' ? "no domain" : 0;
  case SELECTOR_DOMAIN:
    return !len || len > DOMAIN_MAX || memchr(value, '@', len) ? "not a domain" : 0;
  }
  return "no such kind of selection";
}

int selector_equal(struct selector const *a, struct selector const *b)
{
  return a->kind == b->kind && same(a->value, a->len, b->value, b->len);
}

static int is_sender(struct selector const *sel, char const *sender, size_t len)
{
  if (verp_is(sender, len)) len -= VERP_LEN;
  size_t at = sel->len && *sel->value == '@' ? address_at(sender, len) : 0;
  return same(sel->value, sel->len, sender + at, len - at);
}

int selector_message(struct selector const *sel, uint64_t id, char const *sender, size_t len)
{
  if (sel->kind == SELECTOR_ID) return id == sel->id;
  return sel->kind != SELECTOR_SENDER || is_sender(sel, sender, len);
}

int selector_rcpt(struct selector const *sel, char const *addr, size_t len)
{
  if (sel->kind != SELECTOR_DOMAIN) return 1;
  size_t at = address_at(addr, len);
  return at < len && same(sel->value, sel->len, addr + at + 1, len - at - 1);
}
