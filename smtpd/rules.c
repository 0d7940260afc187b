/* rules.c - who may send to whom: rcpthosts, RELAYCLIENT, badmailfrom, localiphost */

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "cdbmap.h"
#include "home.h"
#include "mode.h"
#include "session.h"

/* Copy to <key>, in lower case: the keys of the cdb are. */
static void lower(char *key, char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++) key[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
}

static enum verdict in_morercpthosts(struct session *s, char const *domain, size_t len)
{
  char key[ADDRESS_MAX];
  if (!s->morercpthosts_open) {
    if (cdbmap_open(&s->morercpthosts, home_fd(), "control/morercpthosts.cdb") == -1)
      return RULE_TROUBLE;
    s->morercpthosts_open = 1;
  }
  if (!s->morercpthosts) return RULE_NO;
  lower(key, domain, len);
  int r = cdbmap_has_domain(s->morercpthosts, key, len);
  return r == -1 ? RULE_TROUBLE : r ? RULE_YES : RULE_NO;
}

/* Without a domain only the postmaster is known to be ours (RFC 5321, 4.5.1). */
static int is_postmaster(struct smtppath const *p)
{
  return p->len == 10 && !strncasecmp(p->s, "postmaster", 10);
}

enum verdict rules_rcpt(struct session *s, struct smtppath const *p)
{
  size_t at = address_at(p->s, p->len);
  if (s->client.relay) return RULE_YES;
  if (mode.submission) return RULE_NO;
  if (at == p->len) return is_postmaster(p) ? RULE_YES : RULE_NO;
  char const *domain = p->s + at + 1;
  size_t len = p->len - at - 1;
  if (!s->settings->has_rcpthosts) return RULE_NO;
  if (map_find_domain(&s->settings->rcpthosts, domain, len)) return RULE_YES;
  return in_morercpthosts(s, domain, len);
}

int rules_sender_is_bad(struct session const *s, struct smtppath const *p)
{
  struct map const *m = &s->settings->badmailfrom;
  size_t at = address_at(p->s, p->len);
  if (map_find(m, p->s, p->len)) return 1;
  return at < p->len && map_find(m, p->s + at, p->len - at);
}

int rules_localip(struct session const *s, struct smtppath *p)
{
  size_t at = address_at(p->s, p->len);
  stralloc const *name = &s->settings->localiphost;
  if (p->len - at < 4 || p->s[at + 1] != '[' || p->s[p->len - 1] != ']') return 1;
  int r = client_ip_is_mine(&s->client, p->s + at + 2, p->len - at - 3);
  if (r <= 0) return r == -1 ? -1 : 1;
  if (name->len > sizeof p->s - at - 1) return 0;
  memcpy(p->s + at + 1, name->s, name->len);
  p->len = at + 1 + name->len;
  return 1;
}
