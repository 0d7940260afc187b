/* find.c - the addresses to try for a host; see find.h */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <skalibs/random.h>

#include "find.h"
#include "logline.h"
#include "mxgroup.h"
#include "self.h"
#include "tlspolicy.h"

_Static_assert(MXGROUP_MAX + ROUTE_POLICY_MAX + TLSPOLICY_MARK_MAX <= JOB_GROUP_MAX, "the name of a group must fit");

struct search {
  char const *host;
  struct route route;
  struct settings const *settings;
  struct outcome *o;
  struct dns *dns;
  struct dns_mx *mx; /* sorted; NULL when the host itself is its mail host */
  struct dns_host *hosts;
  unsigned int *preferences;
  size_t count; /* of hosts and preferences */
  size_t unbound; /* addresses of a family that is not to be used */
};

static void temporary(struct search *s, char const *what, char const *why)
{
  outcome_message(s->o, 'Z', "%s temporarily. (#4.4.3)\n%s: %s\n", what, s->host, why);
  s->o->trouble = JOB_NAMES;
}

static int compare_mx(void const *a, void const *b)
{
  struct dns_mx const *x = a, *y = b;
  return x->preference < y->preference ? -1 : x->preference > y->preference;
}

/* Shuffled first, so that equal preferences come in no fixed order. */
static void sort_mx(struct dns_mx *list, size_t n)
{
  random_unsort((char *)list, n, sizeof *list);
  qsort(list, n, sizeof *list, compare_mx);
}

/* RFC 7505: the root alone. Where it stands beside others it is no host. */
static size_t drop_null(struct dns_mx *list, size_t n)
{
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (*list[i].name) list[kept++] = list[i];
  return kept;
}

/* Set s->mx and s->count from the MX records. 1; 0 with the verdict. */
static int ask_mx(struct search *s)
{
  size_t n;
  switch (dns_mx(s->dns, s->route.name, &s->mx, &n)) {
  case DNS_TEMPORARY: temporary(s, "MX lookup failed", dns_why()); return 0;
  case DNS_NXDOMAIN:
    outcome_message(s->o, 'D', "Sorry, I couldn't find any host named %s. (#5.1.2)\n", s->host);
    return 0;
  case DNS_NODATA: s->count = 1; return 1;
  case DNS_FOUND: break;
  }
  s->count = drop_null(s->mx, n);
  if (n && !s->count) {
    outcome_message(s->o, 'D', "Sorry, %s does not accept mail: its MX record says so. (#5.1.10)\n",
                    s->host);
    return 0;
  }
  if (!s->count) {
    outcome_message(s->o, 'D', "Sorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n");
    return 0;
  }
  sort_mx(s->mx, s->count);
  if (s->count > MX_HOSTS_MAX) s->count = MX_HOSTS_MAX;
  return 1;
}

/* Look up the addresses of all mail hosts. */
static int ask_hosts(struct search *s)
{
  s->hosts = calloc(s->count, sizeof *s->hosts);
  s->preferences = calloc(s->count, sizeof *s->preferences);
  if (!s->hosts || !s->preferences) {
    temporary(s, "Address lookup failed", "out of memory");
    return 0;
  }
  for (size_t i = 0; i < s->count; i++) {
    s->hosts[i].name = s->mx ? s->mx[i].name : s->route.name;
    s->preferences[i] = s->mx ? s->mx[i].preference : 0;
  }
  dns_addresses(s->dns, s->hosts, s->count);
  return 1;
}

static int host_is_self(struct self const *self, struct dns_host const *h)
{
  if (self_is_name(self, h->name)) return 1;
  for (size_t i = 0; i < h->count4; i++)
    if (self_is_ip(self, h->ip4 + i)) return 1;
  for (size_t i = 0; i < h->count6; i++)
    if (self_is_ip(self, h->ip6 + i)) return 1;
  return 0;
}

/* A loop, or a host that is missing in control/locals: an administrator's slip,
 * so nothing is bounced for it. */
static void ambiguous(struct search *s)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "alert: this host is the best MX of a domain that it does not take mail for");
  logline_key(&l, "host", s->host);
  logline_key(&l, "mend", "control/locals, control/virtualdomains or control/smtproutes");
  logline_write(&l);
  outcome_message(s->o, 'Z',
                  "Sorry. Although I'm listed as a best-preference MX or A for that host,\n"
                  "it isn't in my control/locals file, so I don't treat it as local. (#4.4.6)\n");
}

/* Cut the list at the first preference that this host has itself. */
static int drop_self(struct search *s)
{
  struct self self;
  size_t keep = s->count;
  if (s->route.fixed || s->route.port != SMTP_PORT) return 1;
  self_open(&self, s->settings);
  for (size_t i = 0; i < s->count && keep == s->count; i++)
    if (host_is_self(&self, s->hosts + i)) keep = i;
  self_close(&self);
  while (keep && keep < s->count && s->preferences[keep - 1] == s->preferences[keep]) keep--;
  if (!keep) ambiguous(s);
  s->count = keep;
  return keep > 0;
}

/* Where addresses to connect from are named, only those of their families are connected to. */
static void add_place(struct search *s, struct places *p, struct dns_ip const *ip, char const *name,
                      int best)
{
  struct dns_ip const *from = s->route.bind + (ip->family == AF_INET6);
  if ((s->route.bind[0].family || s->route.bind[1].family) && !from->family) {
    s->unbound++;
    return;
  }
  if (p->count == PLACES_MAX) return;
  p->list[p->count] = (struct place){
    .ip = *ip, .port = s->route.port, .lmtp = s->route.lmtp, .best = best, .from = *from };
  memccpy(p->list[p->count++].name, name, 0, sizeof p->list->name);
}

/* Add the <nth> address of a family among hosts[from..to): first one of each host, then the second
 * ones. 0 when there is none. */
static int add_nth(struct search *s, struct places *p, size_t from, size_t to, int family,
                   size_t nth)
{
  size_t seen = 0;
  for (size_t round = 0; round < DNS_IPS_MAX; round++)
    for (size_t i = from; i < to; i++) {
      struct dns_host const *h = s->hosts + i;
      if (round >= (family == AF_INET ? h->count4 : h->count6) || seen++ != nth) continue;
      add_place(s, p, (family == AF_INET ? h->ip4 : h->ip6) + round, h->name, !from);
      return 1;
    }
  return 0;
}

/* The hosts of one preference: IPv6 and IPv4 in turns. */
static void add_group(struct search *s, struct places *p, size_t from, size_t to)
{
  int more = 1;
  for (size_t nth = 0; more; nth++) {
    more = add_nth(s, p, from, to, AF_INET6, nth);
    more |= add_nth(s, p, from, to, AF_INET, nth);
  }
}

static void add_all(struct search *s, struct places *p)
{
  for (size_t from = 0, to; from < s->count; from = to) {
    for (to = from + 1; to < s->count && s->preferences[to] == s->preferences[from];) to++;
    add_group(s, p, from, to);
  }
}

/* No host has an address: why? A relay that does not exist is an
 * administrator's slip, and no reason to bounce mail. */
static void judge_none(struct search *s)
{
  if (s->unbound) {
    outcome_message(s->o, 'Z', "Sorry, %s has no address of a family that I may send from: see %s in control/%s. (#4.3.5)\n",
                    s->route.name[0] ? s->route.name : s->host, s->route.bind_default ? "the lines" : "bind=",
                    s->route.bind_default ? "outgoingip" : s->route.file);
    s->o->trouble = JOB_HOST;
    return;
  }
  for (size_t i = 0; i < s->count; i++)
    if (s->hosts[i].result == DNS_TEMPORARY) {
      temporary(s, "Address lookup failed", dns_why());
      return;
    }
  if (s->route.fixed) {
    outcome_message(s->o, 'Z', "Sorry, I couldn't find the %s%s %s. (#4.3.5)\n",
                    s->route.lmtp ? "LMTP server" : "relay of control/",
                    s->route.lmtp ? "" : s->route.file, s->route.name);
    s->o->trouble = JOB_NAMES;
  } else if (!s->mx && s->hosts[0].result == DNS_NXDOMAIN)
    outcome_message(s->o, 'D', "Sorry, I couldn't find any host named %s. (#5.1.2)\n",
                    s->route.name);
  else
    outcome_message(s->o, 'D', "Sorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n");
}

/* Without MX records a host is its own mail exchanger. */
static void name_group(struct search const *s, struct places *p)
{
  struct dns_mx self = { 0 };
  memcpy(self.name, s->route.name, sizeof self.name);
  if (s->mx) mxgroup_name(p->group, s->mx, s->count, s->route.port);
  else mxgroup_name(p->group, &self, 1, s->route.port);
  if (!*p->group) return;
  route_policy(&s->route, p->group + strlen(p->group));
  memcpy(p->nexthop, p->group, sizeof p->group);
}

static int find_by_name(struct search *s, struct places *p)
{
  s->dns = dns_open();
  if (!s->dns) {
    temporary(s, "DNS lookup failed", dns_why());
    return 0;
  }
  s->count = 1;
  if (s->route.kind == ROUTE_MX) {
    if (!ask_mx(s)) return 0;
    name_group(s, p);
  }
  if (!ask_hosts(s) || !drop_self(s)) return 0;
  add_all(s, p);
  if (!p->count) judge_none(s);
  return p->count > 0;
}

static int find_by_ip(struct search *s, struct places *p)
{
  struct self self;
  self_open(&self, s->settings);
  int loop = !s->route.fixed && self_is_ip(&self, &s->route.ip);
  self_close(&self);
  if (loop) ambiguous(s);
  else add_place(s, p, &s->route.ip, "", 1);
  if (!loop && !p->count) judge_none(s);
  return p->count > 0;
}

static int find_socket(struct search *s, struct places *p)
{
  struct place *to = p->list + p->count++;
  *to = (struct place){ .lmtp = s->route.lmtp, .best = 1 };
  memcpy(to->path, s->route.name, strlen(s->route.name) + 1);
  return 1;
}

/* What the administrator has to say to it; without a code for what kind of failure it is, there
 * has to be one. */
static int refuse(struct search const *s, int letter)
{
  char const *text = s->route.name;
  int has_code = text[0] == (letter == 'D' ? '5' : '4') && text[1] == '.';
  size_t code = has_code ? strspn(text, "0123456789.") : 0;
  if (code) outcome_message(s->o, (char)letter, "%s (#%.*s)\n", text + code + strspn(text + code, " "), (int)code, text);
  else outcome_message(s->o, (char)letter, "%s (#%s)\n", text, letter == 'D' ? "5.7.1" : "4.7.1");
  return 0;
}

static int find_by_route(struct search *s, struct places *p)
{
  switch (s->route.kind) {
  case ROUTE_REFUSE: return refuse(s, 'D');
  case ROUTE_DEFER: return refuse(s, 'Z');
  case ROUTE_LOCAL:
    outcome_message(s->o, 'Z', "Mail for this host is for pipit-send to deliver, by control/%s. (#4.3.5)\n",
                    s->route.file);
    return 0;
  case ROUTE_SOCKET: return find_socket(s, p);
  case ROUTE_IP: return find_by_ip(s, p);
  default: return find_by_name(s, p);
  }
}

int find_fixed(struct places *p, struct route const *route, char const *host,
               struct settings const *settings, struct outcome *o)
{
  struct search s = { .host = host, .route = *route, .settings = settings, .o = o };
  p->count = 0;
  *p->group = 0;
  p->route = *route;
  route_relay_name(route, p->nexthop);
  int ok = find_by_route(&s, p);
  dns_close(s.dns);
  free(s.mx);
  free(s.hosts);
  free(s.preferences);
  return ok;
}

int find_places(struct places *p, char const *host, char const *sender,
                struct settings const *settings, struct outcome *o)
{
  struct route route;
  p->count = 0;
  *p->group = *p->nexthop = 0;
  memset(&p->route, 0, sizeof p->route);
  switch (route_find(&route, host, sender)) {
  case ROUTE_TEMPORARY:
    outcome_message(o, 'Z', "Unable to read control files. (#4.3.0)\n%s\n", route_why());
    return 0;
  case ROUTE_BADHOST:
    outcome_message(o, 'D', "Sorry, I couldn't find any host named %s. (#5.1.2)\n", host);
    return 0;
  case ROUTE_OK: break;
  }
  return find_fixed(p, &route, host, settings, o);
}
