/* netlist.c - lists of networks; see netlist.h */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skalibs/types.h>

#include "netlist.h"

#define ENTRY_MAX 64 /* bytes; no address or network is longer */

static int parse_address(struct net *n, char const *s)
{
  n->family = strchr(s, ':') ? AF_INET6 : AF_INET;
  n->bits = n->family == AF_INET6 ? 128 : 32;
  return inet_pton(n->family, s, n->addr) == 1;
}

/* "192.0.2." is 192.0.2.0/24. */
static int parse_prefix(struct net *n, char const *s, size_t len)
{
  char full[ENTRY_MAX];
  unsigned int dots = 0;
  for (size_t i = 0; i < len; i++) dots += s[i] == '.';
  if (!dots || dots > 3) return 0;
  snprintf(full, sizeof full, "%s%s", s, dots == 1 ? "0.0.0" : dots == 2 ? "0.0" : "0");
  if (!parse_address(n, full)) return 0;
  n->bits = 8 * dots;
  return 1;
}

static int parse(struct net *n, char const *s)
{
  char text[ENTRY_MAX];
  size_t len = strlen(s);
  unsigned int bits;
  if (!len || len + 6 > sizeof text) return 0;
  if (s[len - 1] == '.') return parse_prefix(n, s, len);
  char const *slash = strchr(s, '/');
  if (!slash) return parse_address(n, s);
  memcpy(text, s, (size_t)(slash - s));
  text[slash - s] = 0;
  if (!parse_address(n, text) || !uint0_scan(slash + 1, &bits) || bits > n->bits) return 0;
  n->bits = bits;
  return 1;
}

int netlist_build(struct netlist *l, stralloc const *entries, char const **bad)
{
  struct netlist fresh = NETLIST_ZERO;
  size_t n = 0;
  for (size_t i = 0; i < entries->len; i += strlen(entries->s + i) + 1) n++;
  fresh.nets = calloc(n ? n : 1, sizeof *fresh.nets);
  if (!fresh.nets) return (errno = ENOMEM, 0);
  for (size_t i = 0; i < entries->len; i += strlen(entries->s + i) + 1) {
    if (!parse(fresh.nets + fresh.count, entries->s + i)) {
      *bad = entries->s + i;
      free(fresh.nets);
      return (errno = EINVAL, 0);
    }
    fresh.count++;
  }
  netlist_free(l);
  *l = fresh;
  return 1;
}

static int matches(struct net const *n, struct net const *ip)
{
  unsigned int whole = n->bits / 8;
  unsigned int rest = n->bits % 8;
  if (n->family != ip->family || memcmp(n->addr, ip->addr, whole)) return 0;
  return !rest || !((n->addr[whole] ^ ip->addr[whole]) >> (8 - rest));
}

int netlist_has(struct netlist const *l, char const *ip)
{
  struct net n;
  if (!l->count || strlen(ip) >= ENTRY_MAX || !parse_address(&n, ip)) return 0;
  for (size_t i = 0; i < l->count; i++)
    if (matches(l->nets + i, &n)) return 1;
  return 0;
}

void netlist_free(struct netlist *l)
{
  free(l->nets);
  l->nets = 0;
  l->count = 0;
}
