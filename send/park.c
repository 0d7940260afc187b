/* park.c - messages that wait for a next hop out of memory; see group.h */

#include <errno.h>

#include "group.h"

static size_t parked(struct group const *g)
{
  return (size_t)g->parked[LANE_NEW].count + g->parked[LANE_AGAIN].count;
}

/* When the first of a lane expires; 0: nobody waits there. */
static uint64_t first_expiry(struct group const *g)
{
  uint64_t when = 0;
  for (int l = 0; l < LANES; l++) {
    if (!g->parked[l].count) continue;
    uint64_t at = g->parked[l].entries[0].key >> WAIT_SHIFT;
    if (!when || at < when) when = at;
  }
  return when;
}

/* Messages expire at a dead host when enough probes have failed. */
static int has_expired(struct group const *g, uint64_t now)
{
  return g->health.dead && g->health.probes >= PROBES_EXPIRE && first_expiry(g) <= now;
}

/* May a parked message be wanted now, if there is room? */
static int is_wanted(struct group const *g, uint64_t now)
{
  return parked(g) && (!g->health.dead || group_wants_probe(g, now) || has_expired(g, now));
}

static void append(struct group_ring *ring, struct group *g)
{
  g->ready = 1;
  g->ready_next = 0;
  if (ring->first) ring->last->ready_next = g;
  else ring->first = g;
  ring->last = g;
}

static struct group *shift(struct group_ring *ring)
{
  struct group *g = ring->first;
  if (!g) return 0;
  ring->first = g->ready_next;
  g->ready = 0;
  return g;
}

void groups_due(struct groups *gs, uint64_t when)
{
  if (!gs->wake_at || when < gs->wake_at) gs->wake_at = when;
}

/* Note when time alone will change something. */
static void note_times(struct groups *gs, struct group const *g, uint64_t now)
{
  if (!g->health.dead || !parked(g)) return;
  if (!g->probing && g->health.probe_at > now) groups_due(gs, g->health.probe_at);
  if (g->health.probes >= PROBES_EXPIRE && first_expiry(g) > now) groups_due(gs, first_expiry(g));
}

void group_review(struct groups *gs, struct group *g, uint64_t now)
{
  note_times(gs, g, now);
  if (!g->ready && is_wanted(g, now)) append(&gs->ready, g);
}

int group_park(struct groups *gs, struct group *g, enum lane lane, struct waiting_entry e)
{
  if (!waiting_push(&g->parked[lane], e.id, e.place, e.key)) return 0;
  gs->parked++;
  return 1;
}

static struct waiting *pick(struct group *g)
{
  int again = g->unparked++ % GROUP_FAIR == GROUP_FAIR - 1;
  if (again && g->parked[LANE_AGAIN].count) return &g->parked[LANE_AGAIN];
  return g->parked[LANE_NEW].count ? &g->parked[LANE_NEW] : &g->parked[LANE_AGAIN];
}

/* Of a dead group, the oldest message. */
static struct waiting *pick_oldest(struct group *g)
{
  struct waiting *w = g->parked;
  if (!w[LANE_NEW].count) return w + LANE_AGAIN;
  if (!w[LANE_AGAIN].count) return w;
  return w[LANE_NEW].entries[0].key < w[LANE_AGAIN].entries[0].key ? w : w + LANE_AGAIN;
}

/* The first group of the ring that may have a message taken in; it stays the first. The others
 * that it passes go to the end, or out of the ring. */
static struct group *find_ready(struct groups *gs, size_t room, uint64_t now)
{
  struct group *g;
  for (int i = 0; i < GROUP_SCAN && (g = gs->ready.first); i++) {
    int wanted = is_wanted(g, now);
    if (wanted && (g->health.dead || !group_is_full(g, room))) return g;
    shift(&gs->ready);
    if (wanted) append(&gs->ready, g);
    else note_times(gs, g, now);
  }
  return 0;
}

int group_any(struct groups *gs, size_t room, uint64_t now)
{
  return find_ready(gs, room, now) != 0;
}

int group_unpark(struct groups *gs, size_t room, uint64_t now, struct waiting_entry *e)
{
  struct group *g = find_ready(gs, room, now);
  if (!g) return 0;
  *e = waiting_pop(g->health.dead ? pick_oldest(g) : pick(g));
  gs->parked--;
  if (group_wants_probe(g, now)) {
    e->key |= WAIT_PROBE;
    g->health.probe_at = now + PROBE_AGAIN; /* if it comes to nothing */
  }
  shift(&gs->ready);
  if (is_wanted(g, now)) append(&gs->ready, g);
  else note_times(gs, g, now);
  group_ref(g);
  group_unref(gs, g); /* that may have been the last thing that kept it */
  return 1;
}

/* Without memory the rest stays where it was, and is found there. */
void group_move_parked(struct groups *gs, struct group *from, struct group *to)
{
  (void)gs;
  for (int l = 0; l < LANES; l++)
    while (from->parked[l].count) {
      struct waiting_entry e = from->parked[l].entries[0];
      if (!waiting_push(&to->parked[l], e.id, e.place, e.key)) return;
      waiting_pop(&from->parked[l]);
    }
}

void groups_pick(struct groups *gs, struct idset const *ids, uint64_t now, struct waiting *to)
{
  for (struct group *g = gs->first, *next; g; g = next) {
    size_t before = parked(g);
    next = g->next;
    if (!before) continue;
    for (int l = 0; l < LANES; l++) waiting_pick(&g->parked[l], ids, WAIT_FLAGS, to);
    gs->parked -= (uint32_t)(before - parked(g));
    if (parked(g) < before && g->health.dead) g->health.probe_at = now;
    group_ref(g);
    group_unref(gs, g); /* that may have been the last thing that kept it */
  }
}

void groups_wake(struct groups *gs, uint64_t now)
{
  if (!gs->wake_at || now < gs->wake_at) return;
  gs->wake_at = 0;
  for (struct group *g = gs->first; g; g = g->next) {
    group_review(gs, g, now);
    if (g->limits.rate && (g->lanes[LANE_NEW].first || g->lanes[LANE_AGAIN].first)) {
      uint64_t wait = bucket_wait(&g->bucket, g->limits.rate, now);
      if (wait) groups_due(gs, now + wait);
      else group_resume(gs, g);
    }
  }
  if (gs->wake_at && gs->wake_at < now + WAKE_STEP) gs->wake_at = now + WAKE_STEP;
}

void groups_hurry(struct groups *gs, uint64_t now)
{
  for (struct group *g = gs->first; g; g = g->next) {
    if (!g->health.dead) continue;
    g->health.probe_at = now;
    group_review(gs, g, now);
  }
}
