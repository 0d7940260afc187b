/* tcprules.c - look clients up in tcpserver's rules; see tcprules.h */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cdbmap.h"
#include "tcprules.h"

#define KEY_MAX 1024 /* longer keys are not looked up: no name or address is that long */

struct lookup {
  struct cdbmap *map;
  stralloc *rule;
};

static int find(struct lookup *l, char const *s, size_t len)
{
  l->rule->len = 0;
  return cdbmap_get(l->map, s, len, l->rule);
}

/* The key that the three parts make together. */
static int find_joined(struct lookup *l, char const *a, char const *b, char const *c)
{
  char key[KEY_MAX];
  int n = snprintf(key, sizeof key, "%s%s%s", a, b, c);
  if (n < 0 || (size_t)n >= sizeof key) return 0;
  return find(l, key, (size_t)n);
}

static int find_with_info(struct lookup *l, char const *ip, char const *host, char const *info)
{
  if (!info) return 0;
  int r = find_joined(l, info, "@", ip);
  if (r || !host) return r;
  return find_joined(l, info, "@=", host);
}

/* Every network that holds the address, from the smallest to the largest. */
static int find_networks(struct lookup *l, char const *ip)
{
  unsigned char addr[16];
  char text[INET6_ADDRSTRLEN];
  char bits_text[8];
  int family = strchr(ip, ':') ? AF_INET6 : AF_INET;
  if (inet_pton(family, ip, addr) != 1) return 0;
  for (int bits = family == AF_INET6 ? 127 : 31; bits > 0; bits--) {
    addr[bits / 8] = (unsigned char)(addr[bits / 8] & ~(0xff >> (bits % 8)));
    if (!inet_ntop(family, addr, text, sizeof text)) return -1;
    snprintf(bits_text, sizeof bits_text, "/%d", bits);
    int r = find_joined(l, text, bits_text, "");
    if (r) return r;
  }
  return 0;
}

static int find_prefixes(struct lookup *l, char const *ip)
{
  for (size_t len = strlen(ip); len; len--) {
    if (ip[len - 1] != '.' && ip[len - 1] != ':') continue;
    int r = find(l, ip, len);
    if (r) return r;
  }
  return 0;
}

static int find_suffixes(struct lookup *l, char const *host)
{
  if (!host) return 0;
  for (char const *dot = strchr(host, '.'); dot; dot = strchr(dot + 1, '.')) {
    int r = find_joined(l, "=", dot, "");
    if (r) return r;
  }
  return find(l, "=", 1);
}

int tcprules_find(struct cdbmap *map, char const *ip, char const *host, char const *info,
                  int networks, stralloc *rule)
{
  struct lookup l = { .map = map, .rule = rule };
  int r = find_with_info(&l, ip, host, info);
  if (!r) r = find(&l, ip, strlen(ip));
  if (!r && host) r = find_joined(&l, "=", host, "");
  if (!r && networks) r = find_networks(&l, ip);
  if (!r) r = find_prefixes(&l, ip);
  if (!r) r = find_suffixes(&l, host);
  if (!r) r = find(&l, "", 0);
  return r;
}

int tcprules_next(stralloc const *rule, size_t *pos, char const **var)
{
  if (*pos >= rule->len) return 0;
  char const *s = rule->s + *pos;
  char const *end = memchr(s, 0, rule->len - *pos);
  if (!end) return (errno = EPROTO, -1);
  *pos += (size_t)(end - s) + 1;
  if (*s == 'D' && !s[1]) return 2;
  if (*s != '+' || !strchr(s, '=')) return (errno = EPROTO, -1);
  *var = s + 1;
  return 1;
}

char const *tcprules_value(stralloc const *rule, char const *name)
{
  size_t pos = 0, len = strlen(name);
  char const *var, *value = 0;
  int r;
  while ((r = tcprules_next(rule, &pos, &var)) > 0)
    if (r == 1 && !strncmp(var, name, len) && var[len] == '=') value = var + len + 1;
  return value;
}
