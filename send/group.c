/* group.c - next hops: names, limits, whose turn it is; see group.h */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "settings.h"

#define RESERVE_PART 8 /* the last 1/8 of the slots is for groups that have less than their share */

enum channel group_channel(struct group const *g)
{
  return g->kind == GROUP_LOCAL ? CHANNEL_LOCAL : CHANNEL_REMOTE;
}

static uint32_t hash(enum group_kind kind, char const *name, size_t len)
{
  uint32_t h = 5381 + (uint32_t)kind;
  for (size_t i = 0; i < len; i++) h = h * 33 ^ (unsigned char)name[i];
  return h;
}

/* A relay's name has its port, and that of mail exchangers another one than 25; the lines have not. A
 * socket has none. Behind it stand what a route says beside that, and a mark of TLS. */
static size_t name_len(struct group const *g)
{
  int socket = *g->name == '/';
  int port = !socket && (g->kind == GROUP_RELAY || g->kind == GROUP_MX);
  char const *more = socket ? 0 : memchr(g->name, ';', g->len);
  size_t len = more ? (size_t)(more - g->name) : g->len;
  char const *mark = g->kind == GROUP_MX ? memchr(g->name, '/', len) : 0;
  if (mark) len = (size_t)(mark - g->name);
  char const *colon = port ? memrchr(g->name, ':', len) : 0;
  return colon ? (size_t)(colon - g->name) : len;
}

/* Of several mail exchangers, the first one with a line counts. */
static void set_limits(struct groups const *gs, struct group *g)
{
  char const *s = g->name;
  char const *end = g->name + name_len(g);
  if (g->kind == GROUP_LOCAL) return;
  for (;;) {
    char const *comma = g->kind == GROUP_MX ? memchr(s, ',', (size_t)(end - s)) : 0;
    char const *stop = comma ? comma : end;
    if (limits_find(&gs->rules, s, (size_t)(stop - s), &g->limits) || !comma) return;
    s = comma + 1;
  }
}

static struct group *make(struct groups *gs, enum group_kind kind, char const *name, size_t len,
                          uint32_t h)
{
  struct group *g = calloc(1, sizeof *g + len + 1);
  if (!g) return (errno = ENOMEM, (struct group *)0);
  g->kind = kind;
  g->len = len;
  memcpy(g->name, name, len);
  health_init(&g->health, h);
  if (memmem(name, len, ";auth=", 6) || memmem(name, len, ";user=", 6)) g->health.window = HEALTH_LOGIN;
  set_limits(gs, g);
  g->hash_next = gs->buckets[h % GROUPS_BUCKETS];
  gs->buckets[h % GROUPS_BUCKETS] = g;
  g->next = gs->first;
  if (g->next) g->next->prev = g;
  gs->first = g;
  return g;
}

struct group *group_take(struct groups *gs, enum group_kind kind, char const *name, size_t len)
{
  uint32_t h = hash(kind, name, len);
  struct group *g = gs->buckets[h % GROUPS_BUCKETS];
  while (g && (g->kind != kind || g->len != len || memcmp(g->name, name, len))) g = g->hash_next;
  if (!g) g = make(gs, kind, name, len, h);
  if (g) g->refs++;
  return g;
}

void group_ref(struct group *g)
{
  g->refs++;
}

/* Out of a ring, wherever it stands. */
static void ring_remove(struct group_ring *ring, struct group *g, enum lane lane)
{
  struct group *before = 0, *at = ring->first;
  for (; at && at != g; at = at->lanes[lane].next) before = at;
  if (!at) return;
  if (before) before->lanes[lane].next = g->lanes[lane].next;
  else ring->first = g->lanes[lane].next;
  if (ring->last == g) ring->last = before;
}

static void ready_remove(struct group_ring *ring, struct group *g)
{
  struct group *before = 0, *at = ring->first;
  for (; at && at != g; at = at->ready_next) before = at;
  if (!at) return;
  if (before) before->ready_next = g->ready_next;
  else ring->first = g->ready_next;
  if (ring->last == g) ring->last = before;
}

static void free_group(struct groups *gs, struct group *g)
{
  struct group **p = gs->buckets + hash(g->kind, g->name, g->len) % GROUPS_BUCKETS;
  while (*p != g) p = &(*p)->hash_next;
  *p = g->hash_next;
  if (g->prev) g->prev->next = g->next;
  else gs->first = g->next;
  if (g->next) g->next->prev = g->prev;
  for (int l = 0; l < LANES; l++) {
    if (g->lanes[l].queued) ring_remove(&gs->rings[group_channel(g)][l], g, (enum lane)l);
    waiting_free(&g->parked[l]);
  }
  if (g->ready) ready_remove(&gs->ready, g);
  free(g->last);
  free(g);
}

void group_unref(struct groups *gs, struct group *g)
{
  if (--g->refs || g->parked[LANE_NEW].count || g->parked[LANE_AGAIN].count) return;
  free_group(gs, g);
}

/* While it is not known where a domain's mail goes, it must not add to what has a limit there. */
uint32_t group_limit(struct groups const *gs, struct group const *g)
{
  uint32_t max = g->limits.connections ? g->limits.connections : CONCURRENCY_MAX;
  if (g->kind == GROUP_LOCAL) return CONCURRENCY_MAX;
  if (g->health.dead) return 1;
  if (g->kind == GROUP_DOMAIN && !g->known && gs->rules.named) return 1;
  return g->health.window < max ? g->health.window : max;
}

int group_may_start(struct groups *gs, struct group *g, uint64_t now)
{
  uint64_t wait = bucket_wait(&g->bucket, g->limits.rate, now);
  if (g->inflight >= group_limit(gs, g)) return 0;
  if (wait) groups_due(gs, now + wait);
  return !wait;
}

void group_resume(struct groups *gs, struct group *g)
{
  for (int l = 0; l < LANES; l++) {
    struct group_ring *ring = &gs->rings[group_channel(g)][l];
    if (!g->lanes[l].first || g->lanes[l].queued || g->inflight >= group_limit(gs, g)) continue;
    g->lanes[l].queued = 1;
    g->lanes[l].next = 0;
    if (ring->first) ring->last->lanes[l].next = g;
    else ring->first = g;
    ring->last = g;
  }
}

/* Each has its share, and so has one that may come; beyond it only while there is plenty. */
int group_has_enough(struct groups const *gs, struct group const *g, uint32_t max)
{
  enum channel c = group_channel(g);
  uint32_t left = max > gs->inflight[c] ? max - gs->inflight[c] : 0;
  if (c == CHANNEL_LOCAL || left > max / RESERVE_PART) return 0;
  uint32_t share = max / (gs->busy[c] + 1);
  return g->inflight >= (share ? share : 1);
}

/* Whoever has as much as is left for all others has enough: one gets a half, two a third each ... */
int group_is_full(struct group const *g, size_t room)
{
  return g->batches >= room;
}

int group_wants_probe(struct group const *g, uint64_t now)
{
  return g->health.dead && !g->probing && now >= g->health.probe_at;
}

void group_changed(struct groups *gs, struct group *g)
{
  int busy = g->inflight || g->batches;
  if (busy == g->busy) return;
  g->busy = busy;
  if (busy) gs->busy[group_channel(g)]++;
  else gs->busy[group_channel(g)]--;
}

void group_started(struct groups *gs, struct group *g, uint64_t now)
{
  group_ref(g);
  bucket_take(&g->bucket, g->limits.rate, g->limits.seconds, now);
  g->inflight++;
  gs->inflight[group_channel(g)]++;
  group_changed(gs, g);
}

void group_ended(struct groups *gs, struct group *g)
{
  g->inflight--;
  gs->inflight[group_channel(g)]--;
  group_changed(gs, g);
  group_resume(gs, g);
  group_unref(gs, g);
}

void group_note(struct group *g, char const *text, size_t len, uint64_t now)
{
  if (len > GROUP_REPLY_MAX) len = GROUP_REPLY_MAX;
  if (!g->last && !(g->last = malloc(GROUP_REPLY_MAX + 1))) return;
  memcpy(g->last, text, len);
  g->last[len] = 0;
  g->last_at = now;
}

void groups_reset_limits(struct groups *gs)
{
  for (struct group *g = gs->first; g; g = g->next) {
    set_limits(gs, g);
    group_resume(gs, g);
  }
}
