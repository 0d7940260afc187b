/* destination.c - recipients that wait for their turn; see destination.h */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <skalibs/bytestr.h>

#include "address.h"
#include "control.h"
#include "destination.h"
#include "job.h"
#include "../remote/route.h"

/* --- where a domain leads to --- */

/* The route of mail to <domain> by the line <via> of senderroutes, which may be gone: then by the
 * line that comes closest. 1, or 0: there is none that can be used. */
static int find_route(struct dests const *d, char const *domain, char const *via, struct route *r)
{
  char const *sender = !*via ? 0 : !strcmp(via, "<>") ? "" : via;
  return route_look(r, &d->relays, domain, sender) == ROUTE_OK;
}

/* Where TLS there is the domain's own affair, the name of the next hop is marked. */
static void mark(struct dests const *d, char const *domain, struct route const *r,
                 char name[ROUTE_RELAY_MAX])
{
  struct tlspolicy p;
  if (*name && !*r->tls && tlspolicy_find(&d->tls, domain, name, &p))
    tlspolicy_mark(&p, name, ROUTE_RELAY_MAX);
}

static struct group *take_named(struct dests *d, enum group_kind kind, char const *name)
{
  return group_take(&d->groups, kind, name, strlen(name));
}

/* The group of a domain whose mail exchangers are not known; the caller has a reference. */
static struct group *first_group(struct dests *d, enum channel channel, char const *domain,
                                 char const *via)
{
  char name[ROUTE_RELAY_MAX], policy[ROUTE_POLICY_MAX];
  struct route r;
  if (channel == CHANNEL_LOCAL) return take_named(d, GROUP_LOCAL, "local");
  if (!find_route(d, domain, via, &r)) return take_named(d, GROUP_DOMAIN, domain);
  route_relay_name(&r, name);
  mark(d, domain, &r, name);
  if (*name) return take_named(d, GROUP_RELAY, name);
  route_policy(&r, policy);
  if (!*policy) return take_named(d, GROUP_DOMAIN, domain);
  stralloc sa = STRALLOC_ZERO;
  struct group *g = stralloc_cats(&sa, domain) && stralloc_cats(&sa, policy)
                        ? group_take(&d->groups, GROUP_DOMAIN, sa.s, sa.len)
                        : 0;
  stralloc_free(&sa);
  return g;
}

/* --- destinations --- */

static struct dest **bucket(struct dests *d, enum channel channel, char const *domain, size_t len,
                            char const *via)
{
  uint32_t h = 5381 + (uint32_t)channel;
  for (size_t i = 0; i < len; i++) h = h * 33 ^ (unsigned char)domain[i];
  for (; *via; via++) h = h * 33 ^ (unsigned char)*via;
  return d->buckets + h % DESTS_BUCKETS;
}

static void idle_remove(struct dests *d, struct dest *t)
{
  if (!t->idle) return;
  if (t->idle_prev) t->idle_prev->idle_next = t->idle_next;
  else d->idle_first = t->idle_next;
  if (t->idle_next) t->idle_next->idle_prev = t->idle_prev;
  else d->idle_last = t->idle_prev;
  t->idle = 0;
  d->idle--;
}

static void free_dest(struct dests *d, struct dest *t)
{
  struct dest **p = bucket(d, t->channel, t->domain, t->len, t->via);
  while (*p != t) p = &(*p)->hash_next;
  *p = t->hash_next;
  idle_remove(d, t);
  group_unref(&d->groups, t->group);
  free(t);
}

static void note_idle(struct dests *d, struct dest *t)
{
  if (t->idle || t->inflight || t->lanes[LANE_NEW].first || t->lanes[LANE_AGAIN].first) return;
  t->idle = 1;
  t->idle_next = 0;
  t->idle_prev = d->idle_last;
  if (d->idle_last) d->idle_last->idle_next = t;
  else d->idle_first = t;
  d->idle_last = t;
  d->idle++;
  t->stale = 0;
}

static void drop_idle(struct dests *d)
{
  while (d->idle > DESTS_IDLE) free_dest(d, d->idle_first);
}

/* One that has nothing to do is kept, for a while. */
static void rest(struct dests *d, struct dest *t)
{
  note_idle(d, t);
  drop_idle(d);
}

static struct dest *make(struct dests *d, enum channel channel, char const *domain, size_t len,
                         char const *via)
{
  struct dest **b = bucket(d, channel, domain, len, via);
  size_t vialen = strlen(via);
  struct dest *t = calloc(1, sizeof *t + len + vialen + 2);
  if (!t) return 0;
  t->group = first_group(d, channel, domain, via);
  if (!t->group) {
    free(t);
    return 0;
  }
  t->channel = channel;
  t->took = UINT64_MAX;
  t->len = len;
  memcpy(t->domain, domain, len);
  memcpy(t->domain + len + 1, via, vialen);
  t->via = t->domain + len + 1;
  t->hash_next = *b;
  *b = t;
  rest(d, t);
  return t;
}

static char *lower_copy(char const *s, size_t len)
{
  char *lower = malloc(len + 1);
  if (!lower) return 0;
  memcpy(lower, s, len);
  lower[len] = 0;
  case_lowerb(lower, len);
  return lower;
}

/* The destination of <domain>, in lower case, by the line <via>. */
static struct dest *find(struct dests *d, enum channel channel, char const *domain, size_t len,
                         char const *via)
{
  struct dest *t = *bucket(d, channel, domain, len, via);
  while (t && (t->channel != channel || t->len != len || memcmp(t->domain, domain, len) ||
               strcmp(t->via, via)))
    t = t->hash_next;
  return t ? t : make(d, channel, domain, len, via);
}

static size_t domain_at(char const *addr, size_t addrlen)
{
  size_t at = address_at(addr, addrlen);
  return at < addrlen ? at + 1 : at;
}

struct dest *dests_find(struct dests *d, enum channel channel, char const *addr, size_t addrlen,
                        char const *sender)
{
  size_t at = channel == CHANNEL_LOCAL ? addrlen : domain_at(addr, addrlen), keylen;
  char *domain = lower_copy(addr + at, addrlen - at), *via = 0;
  struct dest *t = 0;
  char const *key = domain && channel == CHANNEL_REMOTE
                        ? route_sender_key(&d->relays, domain, sender, &keylen)
                        : 0;
  if (key) via = lower_copy(key, keylen);
  if (domain && (via || !key)) t = find(d, channel, domain, addrlen - at, via ? via : "");
  free(domain);
  free(via);
  if (!t) errno = ENOMEM;
  return t;
}

char const *dests_local(struct dests const *d, char const *addr, size_t addrlen, char const *sender)
{
  static struct route r;
  if (!d->relays.some_local) return 0;
  size_t at = domain_at(addr, addrlen);
  char *domain = lower_copy(addr + at, addrlen - at);
  int is = domain && route_look(&r, &d->relays, domain, sender) == ROUTE_OK && r.kind == ROUTE_LOCAL;
  free(domain);
  return is ? r.name : 0;
}

/* --- lanes --- */

static void lane_append(struct group *g, struct dest *t, enum lane lane)
{
  struct group_lane *l = g->lanes + lane;
  t->lanes[lane].next = 0;
  if (l->first) l->last->lanes[lane].next = t;
  else l->first = t;
  l->last = t;
}

static void lane_remove(struct group *g, struct dest *t, enum lane lane)
{
  struct group_lane *l = g->lanes + lane;
  struct dest *before = 0, *at = l->first;
  for (; at && at != t; at = at->lanes[lane].next) before = at;
  if (!at) return;
  if (before) before->lanes[lane].next = t->lanes[lane].next;
  else l->first = t->lanes[lane].next;
  if (l->last == t) l->last = before;
}

static struct batch *new_batch(struct dests *d, struct dest *t, enum lane lane, struct msg *msg)
{
  struct dest_lane *l = t->lanes + lane;
  struct batch *b = calloc(1, sizeof *b);
  if (!b) return 0;
  b->msg = msg;
  b->dest = t;
  b->lane = lane;
  if (l->first) l->last->next = b;
  else {
    idle_remove(d, t);
    l->first = b;
    lane_append(t->group, t, lane);
  }
  t->group->batches++;
  group_changed(&d->groups, t->group);
  group_resume(&d->groups, t->group);
  return l->last = b;
}

int dests_add(struct dests *d, struct dest *t, enum lane lane, struct rcpt *r)
{
  struct batch *b = t->lanes[lane].first ? t->lanes[lane].last : 0;
  if (!b || b->msg != r->msg) b = new_batch(d, t, lane, r->msg);
  if (!b) return (errno = ENOMEM, 0);
  r->next = 0;
  if (b->first) b->last->next = r;
  else b->first = r;
  b->last = r;
  return 1;
}

/* --- turns --- */

/* The first group of the ring that may have a job; it stays the first. Those that have enough go to
 * the end, the others that may not leave the ring: something else brings them back. */
static struct group *ring_find(struct dests *d, enum channel c, enum lane lane, uint32_t max,
                               uint64_t now)
{
  struct group_ring *ring = &d->groups.rings[c][lane];
  struct group *g, *passed = 0;
  while ((g = ring->first) && g != passed) {
    int may = g->lanes[lane].first && group_may_start(&d->groups, g, now);
    if (may && !group_has_enough(&d->groups, g, max)) return g;
    ring->first = g->lanes[lane].next;
    g->lanes[lane].queued = 0;
    if (may) group_resume(&d->groups, g);
    if (may && !passed) passed = g;
  }
  return 0;
}

struct batch *dests_turn(struct dests *d, enum channel channel, uint32_t max, uint64_t now)
{
  enum lane lane = d->turns[channel] % DESTS_FAIR == DESTS_FAIR - 1 ? LANE_AGAIN : LANE_NEW;
  struct group *g = ring_find(d, channel, lane, max, now);
  if (!g) {
    lane = lane == LANE_NEW ? LANE_AGAIN : LANE_NEW;
    g = ring_find(d, channel, lane, max, now);
  }
  return g ? g->lanes[lane].first->lanes[lane].first : 0;
}

struct batch *dest_batch(struct dest const *t)
{
  return t->lanes[LANE_NEW].first ? t->lanes[LANE_NEW].first : t->lanes[LANE_AGAIN].first;
}

struct rcpt *batch_take(struct batch *b)
{
  struct rcpt *r = b->first;
  if (r) b->first = r->next;
  return r;
}

/* The first batch of a destination leaves. */
static void drop_batch(struct dests *d, struct dest *t, enum lane lane)
{
  struct dest_lane *l = t->lanes + lane;
  l->first = l->first->next;
  t->group->batches--;
  group_changed(&d->groups, t->group);
}

/* The group and the destination have their turns at the heads; they go to the ends while they have
 * more. */
void dests_next(struct dests *d, struct batch *b)
{
  struct dest *t = b->dest;
  struct group *g = t->group;
  enum lane lane = b->lane;
  struct group_ring *ring = &d->groups.rings[t->channel][lane];
  d->turns[t->channel]++;
  if (ring->first == g) {
    ring->first = g->lanes[lane].next;
    g->lanes[lane].queued = 0;
  }
  lane_remove(g, t, lane);
  if (!b->first) {
    drop_batch(d, t, lane);
    free(b);
  }
  if (t->lanes[lane].first) lane_append(g, t, lane);
  else rest(d, t);
  group_resume(&d->groups, g);
}

void dests_started(struct dests *d, struct dest *t)
{
  idle_remove(d, t);
  t->inflight++;
}

void dests_ended(struct dests *d, struct dest *t)
{
  t->inflight--;
  rest(d, t);
}

struct batch *dests_evict(struct dests *d, struct group *g)
{
  for (int l = 0; l < LANES; l++) {
    struct dest *t = g->lanes[l].first;
    if (!t) continue;
    struct batch *b = t->lanes[l].first;
    drop_batch(d, t, (enum lane)l);
    if (!t->lanes[l].first) {
      lane_remove(g, t, (enum lane)l);
      rest(d, t);
    }
    return b;
  }
  return 0;
}

/* --- sweeping --- */

/* Take away what is picked of <b>; it may be empty then. The new end of the list. */
static struct rcpt **sweep_batch(struct batch *b, int (*pick)(void *, struct rcpt const *),
                                 void *data, struct rcpt **end)
{
  struct rcpt *all = b->first;
  b->first = b->last = 0;
  for (struct rcpt *r = all, *next; r; r = next) {
    next = r->next;
    r->next = 0;
    if (pick(data, r)) {
      *end = r;
      end = &r->next;
    } else {
      if (b->first) b->last->next = r;
      else b->first = r;
      b->last = r;
    }
  }
  return end;
}

static void drop_empty_batches(struct dests *d, struct dest *t, enum lane lane)
{
  struct dest_lane *l = t->lanes + lane;
  struct batch *all = l->first;
  l->first = l->last = 0;
  for (struct batch *b = all, *next; b; b = next) {
    next = b->next;
    b->next = 0;
    if (!b->first) {
      t->group->batches--;
      free(b);
      continue;
    }
    if (l->first) l->last->next = b;
    else l->first = b;
    l->last = b;
  }
  if (all && !l->first) lane_remove(t->group, t, lane);
  group_changed(&d->groups, t->group);
}

/* The probe of a dead next hop may be among what was taken away. */
static void end_probe(struct group *g)
{
  if (!g->inflight && !g->batches) g->probing = 0;
}

struct rcpt *dests_sweep(struct dests *d, int (*pick)(void *, struct rcpt const *), void *data)
{
  struct rcpt *list = 0;
  struct rcpt **end = &list;
  for (size_t i = 0; i < DESTS_BUCKETS; i++)
    for (struct dest *t = d->buckets[i]; t; t = t->hash_next) {
      for (int lane = 0; lane < LANES; lane++) {
        for (struct batch *b = t->lanes[lane].first; b; b = b->next)
          end = sweep_batch(b, pick, data, end);
        drop_empty_batches(d, t, (enum lane)lane);
      }
      end_probe(t->group);
      note_idle(d, t);
    }
  drop_idle(d);
  return list;
}

/* --- joining --- */

/* <t> leads to <g> now; the reference to it is <t>'s. */
static void move(struct dests *d, struct dest *t, struct group *g)
{
  struct group *was = t->group;
  t->group = g;
  was->probing = 0; /* the probe may be what moves */
  for (int l = 0; l < LANES; l++) {
    if (!t->lanes[l].first) continue;
    lane_remove(was, t, (enum lane)l);
    lane_append(g, t, (enum lane)l);
    for (struct batch *b = t->lanes[l].first; b; b = b->next) was->batches--, g->batches++;
  }
  group_changed(&d->groups, was);
  group_changed(&d->groups, g);
  group_resume(&d->groups, g);
  /* What waits for a domain waits where the domain has gone to. */
  if (was->kind == GROUP_DOMAIN) group_move_parked(&d->groups, was, g);
  group_unref(&d->groups, was);
}

struct group *dests_join(struct dests *d, struct dest *t, char const *name, size_t len,
                         uint64_t now)
{
  struct limits l;
  struct group *g = t->group;
  g->known = 1;
  t->joined_at = now;
  if (g->kind == GROUP_LOCAL || g->kind == GROUP_RELAY) return g;
  if (limits_find(&d->groups.rules, t->domain, t->len, &l)) return g;
  if (g->kind == GROUP_MX && g->len == len && !memcmp(g->name, name, len)) return g;
  g = group_take(&d->groups, GROUP_MX, name, len);
  if (!g) return t->group; /* no memory: it stays by itself */
  move(d, t, g);
  return g;
}

int dest_extras(struct dest const *t, char const *sender, uint64_t now, stralloc *extras)
{
  return stralloc_cats(extras, JOB_NEXTHOP) &&
         stralloc_cats(extras, t->stale ? "" : dest_nexthop(t, now)) && stralloc_0(extras) &&
         stralloc_cats(extras, JOB_VIA) && (!t->stale || stralloc_cats(extras, "by now, from ")) &&
         stralloc_cats(extras, t->stale ? sender : t->via) && stralloc_0(extras);
}

char const *dest_nexthop(struct dest const *t, uint64_t now)
{
  struct group const *g = t->group;
  if (g->kind == GROUP_RELAY) return g->name;
  return g->kind == GROUP_MX && t->joined_at && now - t->joined_at < NEXTHOP_FRESH ? g->name : "";
}

/* Routes, tlsdestinations or concurrencydomains have changed: a destination may lead elsewhere. */
static void route_again(struct dests *d, struct dest *t, int senders)
{
  struct limits l;
  struct group *g = first_group(d, t->channel, t->domain, t->via);
  int named = limits_find(&d->groups.rules, t->domain, t->len, &l);
  if (senders && !t->idle && t->channel == CHANNEL_REMOTE) t->stale = 1;
  if (!g) return;
  if (g == t->group || (g->kind == GROUP_DOMAIN && t->group->kind == GROUP_MX && !named && !senders))
    group_unref(&d->groups, g);
  else move(d, t, g);
}

void dest_rules_free(struct dest_rules *r)
{
  routes_free(&r->relays);
  tlspolicy_free(&r->tls);
  map_free(&r->limits.map);
}

int dest_rules_load(struct dest_rules *r, char const **why)
{
  if (!route_load(&r->relays)) return (*why = route_why(), 0);
  if (tlspolicy_load(&r->tls) && limits_load(&r->limits)) return 1;
  *why = control_why();
  dest_rules_free(r);
  return 0;
}

void dests_obey(struct dests *d, struct dest_rules *r)
{
  int senders = !route_same_senders(&d->relays, &r->relays);
  routes_free(&d->relays);
  tlspolicy_free(&d->tls);
  map_free(&d->groups.rules.map);
  d->relays = r->relays;
  d->tls = r->tls;
  d->groups.rules = r->limits;
  for (size_t i = 0; i < DESTS_BUCKETS; i++)
    for (struct dest *t = d->buckets[i]; t; t = t->hash_next) route_again(d, t, senders);
  groups_reset_limits(&d->groups);
}
