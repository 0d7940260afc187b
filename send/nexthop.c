/* nexthop.c - what becomes of next hops, and of the messages that wait for them; see send.h */

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "retry.h"
#include "send.h"

/* Messages that may still be in memory, the one that asks counted. */
static size_t room_for(struct send const *s)
{
  return s->active < ACTIVE_MAX ? ACTIVE_MAX - s->active + 1 : 1;
}

enum way nexthop_way(struct send *s, struct msg *m, struct group *g, uint32_t age, uint32_t lifetime,
                  uint32_t attempts)
{
  uint32_t const probes = g->health.probes;
  if (!g->health.dead)
    return m->stream == g || !group_is_full(g, room_for(s)) ? WAY_LOAD : WAY_PARK;
  if (!g->probing && (m->probe || group_wants_probe(g, clock_ms()))) return WAY_PROBE;
  if (probes >= PROBES_EXPIRE &&
      retry_expired(age, lifetime, attempts > probes ? attempts : probes, clock_wall()))
    return WAY_EXPIRE;
  return WAY_PARK;
}

void nexthop_rcpt(struct msg *m, struct group *g, uint32_t age, uint32_t lifetime)
{
  uint64_t left = age > lifetime ? EXPIRE_AGAIN : ((uint64_t)(lifetime - age) + 1) * 1000;
  uint64_t expires = clock_ms() + left;
  m->hopping++;
  if (g->health.dead) m->hop_dead = 1;
  if (!m->hop_expires || expires < m->hop_expires) m->hop_expires = expires;
  if (!m->hop) {
    group_ref(g);
    m->hop = g;
  } else if (m->hop != g) {
    m->hop_several = 1;
  }
}

int nexthop_park(struct send *s, struct msg *m, unsigned int flags)
{
  struct group *g = m->hop;
  if (m->hop_dead || m->force) flags |= WAIT_FORCE; /* nothing that it waited for then counts */
  struct waiting_entry e = { m->q.id, m->place, m->hop_expires << WAIT_SHIFT | flags };
  if (!group_park(&s->dests.groups, g, m->lane, e)) return 0;
  group_review(&s->dests.groups, g, clock_ms());
  return 1;
}

/* While it was parked the clock that never jumps went on; the wall clock counts no further. */
uint32_t nexthop_age(struct msg const *m, uint32_t lifetime, uint32_t age, int64_t when, int64_t now)
{
  uint64_t const ms = clock_ms();
  uint32_t known = retry_age(age, when, now);
  if (!m->expires || now <= when) return known;
  uint64_t most = lifetime;
  if (m->expires <= ms) most += 1 + (ms - m->expires) / 1000;
  else most -= (m->expires - ms) / 1000 < most ? (m->expires - ms) / 1000 : most;
  uint64_t wall = (uint64_t)age + (uint64_t)(now - when);
  uint64_t least = wall < most ? wall : most;
  if (least > UINT32_MAX) least = UINT32_MAX;
  return least > known ? (uint32_t)least : known;
}

/* What waits for a dead next hop leaves memory. */
static void evict(struct send *s, struct group *g)
{
  struct batch *b;
  while ((b = dests_evict(&s->dests, g))) {
    struct msg *m = b->msg;
    struct rcpt *r;
    while ((r = batch_take(b))) {
      uint32_t age = r->age + (uint32_t)((clock_ms() - r->loaded_at) / 1000);
      nexthop_rcpt(m, g, age, settings_lifetime(&s->settings, r->addr, r->addrlen));
      free(r);
      m->loaded--;
      s->loaded--;
    }
    free(b);
    message_progress(s, m);
  }
}

/* What the job, and its connection if it has one, are to its next hop. */
static void count(struct send *s, struct running *j)
{
  if (j->line) group_started(&s->dests.groups, j->group, clock_ms());
  else group_ref(j->group);
}

static void uncount(struct send *s, struct running *j, struct group *g)
{
  if (j->line) group_ended(&s->dests.groups, g);
  else group_unref(&s->dests.groups, g);
}

/* The connection of <j> is that of <next> now. */
static void hand_line(struct send *s, struct running *j, struct running *next)
{
  struct group *was = next->group;
  uncount(s, j, j->group);
  next->line = 1;
  count(s, next);
  group_unref(&s->dests.groups, was); /* what it was while it waited */
}

void nexthop_started(struct send *s, struct running *j, struct dest *t)
{
  j->dest = t;
  j->group = t->group;
  j->probe = j->group->health.dead && j->group->probing;
  dests_started(&s->dests, t);
  t->lines += j->line != 0;
  count(s, j);
}

/* The probe of one next hop turned out to go to another one. */
static void pass_probe(struct running *j, struct group *g)
{
  struct group *was = j->group;
  if (j->probe) {
    was->probing = 0;
    was->health.probe_at = clock_ms() + PROBE_AGAIN;
  }
  j->probe = g->health.dead && !g->probing;
  if (j->probe) g->probing = 1;
}

void nexthop_joined(struct send *s, struct running *j, char const *name, size_t len)
{
  struct groups *gs = &s->dests.groups;
  struct group *was = j->group;
  struct group *g = dests_join(&s->dests, j->dest, name, len, clock_ms());
  if (g == was) return;
  pass_probe(j, g);
  j->group = g;
  count(s, j);
  uncount(s, j, was);
  if (g->health.dead) evict(s, g);
  group_review(gs, g, clock_ms());
}

/* A name that cannot be looked up is nothing against others that the domain shares hosts with. */
void nexthop_failed(struct send *s, struct running *j, char class, char const *text, size_t len)
{
  struct group *g = j->group;
  uint64_t now = clock_ms();
  if (j->class) return;
  j->class = class;
  group_note(g, text, len, now);
  if ((class == JOB_NAMES && g->kind == GROUP_MX) || (g->health.dead && !j->probe)) return;
  if (!(class == JOB_LOGIN ? health_end(&g->health, now)
                           : health_failure(&g->health, g->inflight, now)))
    return;
  log_dead(g);
  evict(s, g);
}

void nexthop_count(struct running *j, char letter)
{
  if (letter == 'K') j->group->delivered++, j->delivered = 1;
  else if (letter == 'D') j->group->failed++;
  else j->group->deferred++;
}

int nexthop_ended(struct send *s, struct running *j, struct running *next)
{
  struct groups *gs = &s->dests.groups;
  struct group *g = j->group;
  struct health was = g->health;
  uint64_t now = clock_ms();
  int alive = 0;
  if (!j->class && j->delivered) alive = health_success(&g->health, CONCURRENCY_MAX);
  else if (!j->class) alive = health_answer(&g->health);
  if (j->probe) g->probing = 0;
  if (alive) {
    g->probing = 0;
    log_alive(g, now - was.died_at);
  }
  group_review(gs, g, now);
  g->known = 1;
  struct dest *t = j->dest;
  int freed = j->line && !next;
  t->took = now - j->began;
  if (freed) t->lines--;
  group_ref(g); /* till the end of this function */
  if (j->line && next) hand_line(s, j, next);
  else uncount(s, j, g);
  dests_ended(&s->dests, t);
  group_unref(gs, g);
  return freed;
}

void nexthop_unsent(struct group *g)
{
  if (!g->health.dead) return;
  g->probing = 0;
  g->health.probe_at = clock_ms() + PROBE_AGAIN;
}
