/* rewrite.c - where a recipient's mail goes; see rewrite.h */

#include <errno.h>
#include <string.h>

#include "address.h"
#include "control.h"
#include "rewrite.h"

/* Build <m> from a list that may be missing. 1, or 0 and control_why(). */
static int load_map(struct map *m, char const *name, char separator)
{
  stralloc list = STRALLOC_ZERO;
  int ok = control_list(name, &list) != -1 && map_build(m, &list, separator);
  stralloc_free(&list);
  return ok;
}

static int load_locals(struct map *m)
{
  stralloc list = STRALLOC_ZERO;
  int r = control_list("locals", &list);
  if (!r) {
    r = control_line_or_me("locals", &list);
    if (r == 1) list.len++; /* a list counts the NUL of each entry */
  }
  int ok = r == 1 && map_build(m, &list, 0);
  stralloc_free(&list);
  return ok;
}

static void rewrite_free(struct rewrite *r)
{
  map_free(&r->locals);
  map_free(&r->vdoms);
  map_free(&r->percenthack);
  stralloc_free(&r->envnoathost);
}

int rewrite_load(struct rewrite *r)
{
  struct rewrite fresh = REWRITE_ZERO;
  if (!load_locals(&fresh.locals) || !load_map(&fresh.vdoms, "virtualdomains", ':') ||
      !load_map(&fresh.percenthack, "percenthack", 0) ||
      control_line_or_me("envnoathost", &fresh.envnoathost) != 1) {
    rewrite_free(&fresh);
    return 0;
  }
  rewrite_free(r);
  *r = fresh;
  return 1;
}

/* Undo the percent signs of <sa>, whose address begins at <from>. */
static void percent_hack(struct rewrite const *r, stralloc *sa, size_t from)
{
  size_t at = from + address_at(sa->s + from, sa->len - from);
  while (at < sa->len && map_find(&r->percenthack, sa->s + at + 1, sa->len - at - 1)) {
    size_t i = at;
    while (i > from && sa->s[i - 1] != '%') i--;
    if (i == from) return;
    sa->len = at;
    at = i - 1;
    sa->s[at] = '@';
  }
}

/* What virtualdomains says about addr[0..len), whose '@' is at <at>; or NULL. */
static char const *find_virtual(struct rewrite const *r, char const *addr, size_t len, size_t at)
{
  char const *value = map_find(&r->vdoms, addr, len);
  if (!value && at < len) value = map_find_domain(&r->vdoms, addr + at + 1, len - at - 1);
  return value ? value : map_find(&r->vdoms, "", 0);
}

int rewrite_address(struct rewrite const *r, char const *addr, size_t len, stralloc *out)
{
  size_t from = out->len;
  if (!stralloc_catb(out, addr, len)) return -1;
  if (address_at(addr, len) == len &&
      (!stralloc_append(out, '@') || !stralloc_catb(out, r->envnoathost.s, r->envnoathost.len)))
    return -1;
  percent_hack(r, out, from);
  len = out->len - from;
  size_t at = address_at(out->s + from, len);
  if (map_find(&r->locals, out->s + from + at + 1, len - at - 1)) return CHANNEL_LOCAL;
  char const *prepend = find_virtual(r, out->s + from, len, at);
  if (!prepend || !*prepend) return CHANNEL_REMOTE;
  size_t plen = strlen(prepend);
  if (!stralloc_readyplus(out, plen + 1)) return -1;
  memmove(out->s + from + plen + 1, out->s + from, len);
  memcpy(out->s + from, prepend, plen);
  out->s[from + plen] = '-';
  out->len += plen + 1;
  return CHANNEL_LOCAL;
}

int verp_sender(stralloc *out, char const *sender, size_t len, char const *rcpt, size_t rlen)
{
  size_t rat = address_at(rcpt, rlen);
  if (!verp_is(sender, len) || rat == rlen)
    return stralloc_catb(out, sender, len) && stralloc_0(out);
  len -= VERP_LEN;
  size_t at = address_at(sender, len);
  return stralloc_catb(out, sender, at) && stralloc_catb(out, rcpt, rat) &&
         stralloc_append(out, '=') && stralloc_catb(out, rcpt + rat + 1, rlen - rat - 1) &&
         stralloc_catb(out, sender + at, len - at) && stralloc_0(out);
}
