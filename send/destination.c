/* destination.c - recipients that wait for their turn; see destination.h */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <skalibs/bytestr.h>

#include "address.h"
#include "destination.h"

static struct dest **bucket(struct dests *d, enum channel channel, char const *domain, size_t len)
{
  uint32_t h = 5381 + (uint32_t)channel;
  for (size_t i = 0; i < len; i++) h = h * 33 ^ (unsigned char)domain[i];
  return d->buckets + h % DESTS_BUCKETS;
}

static struct dest *find_or_make(struct dests *d, enum channel channel, char const *domain,
                                 size_t len)
{
  char *lower = malloc(len + 1);
  if (!lower) return 0;
  memcpy(lower, domain, len);
  case_lowerb(lower, len);
  struct dest **b = bucket(d, channel, lower, len);
  struct dest *t = *b;
  while (t && (t->channel != channel || t->len != len || memcmp(t->domain, lower, len)))
    t = t->hash_next;
  if (!t && (t = calloc(1, sizeof *t + len + 1))) {
    t->channel = channel;
    t->took = UINT64_MAX;
    t->len = len;
    memcpy(t->domain, lower, len);
    t->hash_next = *b;
    *b = t;
  }
  free(lower);
  return t;
}

static void free_if_empty(struct dests *d, struct dest *t)
{
  if (t->lanes[LANE_NEW].first || t->lanes[LANE_AGAIN].first || t->jobs) return;
  struct dest **p = bucket(d, t->channel, t->domain, t->len);
  while (*p != t) p = &(*p)->hash_next;
  *p = t->hash_next;
  free(t);
}

static void ring_append(struct dest_ring *ring, struct dest *t, enum lane lane)
{
  t->lanes[lane].next = 0;
  if (ring->first) ring->last->lanes[lane].next = t;
  else ring->first = t;
  ring->last = t;
}

static struct group *new_group(struct dests *d, struct dest *t, enum lane lane, struct msg *msg)
{
  struct dest_lane *l = t->lanes + lane;
  struct group *g = calloc(1, sizeof *g);
  if (!g) return 0;
  g->msg = msg;
  g->dest = t;
  g->lane = lane;
  if (l->first) l->last->next = g;
  else {
    l->first = g;
    ring_append(&d->rings[t->channel][lane], t, lane);
  }
  return l->last = g;
}

int dests_add(struct dests *d, enum channel channel, enum lane lane, struct rcpt *r)
{
  size_t at = channel == CHANNEL_LOCAL ? r->addrlen : address_at(r->addr, r->addrlen);
  if (at < r->addrlen) at++;
  struct dest *t = find_or_make(d, channel, r->addr + at, r->addrlen - at);
  if (!t) return (errno = ENOMEM, 0);
  struct group *g = t->lanes[lane].first ? t->lanes[lane].last : 0;
  if (!g || g->msg != r->msg) g = new_group(d, t, lane, r->msg);
  if (!g) {
    free_if_empty(d, t);
    return (errno = ENOMEM, 0);
  }
  r->next = 0;
  if (g->first) g->last->next = r;
  else g->first = r;
  g->last = r;
  return 1;
}

struct group *dests_turn(struct dests *d, enum channel channel)
{
  enum lane lane = d->turns[channel] % DESTS_FAIR == DESTS_FAIR - 1 ? LANE_AGAIN : LANE_NEW;
  struct dest *t = d->rings[channel][lane].first;
  if (!t) {
    lane = lane == LANE_NEW ? LANE_AGAIN : LANE_NEW;
    t = d->rings[channel][lane].first;
  }
  return t ? t->lanes[lane].first : 0;
}

struct rcpt *group_take(struct group *g)
{
  struct rcpt *r = g->first;
  if (r) g->first = r->next;
  return r;
}

void dests_started(struct dest *t, int waits)
{
  t->jobs++;
  if (!waits) t->lines++;
}

/* A job that waited has the place of the one that has ended. */
uint32_t dests_ended(struct dests *d, struct dest *t, uint64_t took)
{
  uint32_t was = t->lines;
  t->took = took;
  if (--t->jobs < t->lines) t->lines = t->jobs;
  was -= t->lines;
  free_if_empty(d, t);
  return was;
}

/* A destination has its turn at the ring's head; it goes to the end while it has more. */
void dests_next(struct dests *d, struct group *g)
{
  struct dest *t = g->dest;
  enum lane lane = g->lane;
  struct dest_ring *ring = &d->rings[t->channel][lane];
  d->turns[t->channel]++;
  ring->first = t->lanes[lane].next;
  if (!g->first) {
    t->lanes[lane].first = g->next;
    free(g);
  }
  if (t->lanes[lane].first) ring_append(ring, t, lane);
  else free_if_empty(d, t);
}

/* Take away what is picked of <g>; it may be empty then. The new end of the list. */
static struct rcpt **sweep_group(struct group *g, int (*pick)(void *, struct rcpt const *),
                                 void *data, struct rcpt **end)
{
  struct rcpt *all = g->first;
  g->first = g->last = 0;
  for (struct rcpt *r = all, *next; r; r = next) {
    next = r->next;
    r->next = 0;
    if (pick(data, r)) {
      *end = r;
      end = &r->next;
    } else {
      if (g->first) g->last->next = r;
      else g->first = r;
      g->last = r;
    }
  }
  return end;
}

static void drop_empty_groups(struct dest_lane *l)
{
  struct group *all = l->first;
  l->first = l->last = 0;
  for (struct group *g = all, *next; g; g = next) {
    next = g->next;
    g->next = 0;
    if (!g->first) {
      free(g);
      continue;
    }
    if (l->first) l->last->next = g;
    else l->first = g;
    l->last = g;
  }
}

/* Destinations that have nothing left in this lane have no turn. */
static void drop_empty_turns(struct dest_ring *ring, enum lane lane)
{
  struct dest *all = ring->first;
  ring->first = ring->last = 0;
  for (struct dest *t = all, *next; t; t = next) {
    next = t->lanes[lane].next;
    if (t->lanes[lane].first) ring_append(ring, t, lane);
  }
}

struct rcpt *dests_sweep(struct dests *d, int (*pick)(void *, struct rcpt const *), void *data)
{
  struct rcpt *list = 0;
  struct rcpt **end = &list;
  for (size_t i = 0; i < DESTS_BUCKETS; i++)
    for (struct dest *t = d->buckets[i]; t; t = t->hash_next)
      for (int lane = 0; lane < LANES; lane++) {
        for (struct group *g = t->lanes[lane].first; g; g = g->next)
          end = sweep_group(g, pick, data, end);
        drop_empty_groups(t->lanes + lane);
      }
  for (int c = 0; c < CHANNELS; c++)
    for (int lane = 0; lane < LANES; lane++) drop_empty_turns(&d->rings[c][lane], (enum lane)lane);
  for (size_t i = 0; i < DESTS_BUCKETS; i++)
    for (struct dest *t = d->buckets[i], *next; t; t = next) {
      next = t->hash_next;
      free_if_empty(d, t);
    }
  return list;
}
