/* health.c - windows, dead hosts, rates; see health.h */

#include "health.h"

void health_init(struct health *h, uint32_t seed)
{
  *h = (struct health){ .window = HEALTH_START, .seed = seed };
}

static int revive(struct health *h, uint32_t failures)
{
  int was = h->dead;
  h->failures = failures;
  if (!was) return 0;
  h->dead = 0;
  h->window = HEALTH_START;
  h->grown = h->probes = 0;
  return 1;
}

int health_success(struct health *h, uint32_t cap)
{
  if (revive(h, 0)) return 1;
  if (h->window >= cap || ++h->grown < (h->shrunk ? h->window : 1)) return 0;
  h->window++;
  h->grown = 0;
  return 0;
}

int health_answer(struct health *h)
{
  return revive(h, h->dead ? HEALTH_DEAD_AFTER - 1 : 0);
}

uint64_t health_interval(uint32_t probes, uint32_t seed)
{
  uint64_t ms = HEALTH_PROBE_MIN;
  for (uint32_t i = 0; i < probes && ms < HEALTH_PROBE_MAX; i++) ms *= 2;
  if (ms > HEALTH_PROBE_MAX) ms = HEALTH_PROBE_MAX;
  return ms + ms * ((seed + probes) * 2654435761u >> 16) / 65536 * HEALTH_JITTER / 100;
}

int health_failure(struct health *h, uint32_t inflight, uint64_t now)
{
  if (h->dead) {
    if (h->probes < UINT32_MAX) h->probes++;
    h->probe_at = now + health_interval(h->probes, h->seed);
    return 0;
  }
  if (inflight && h->window > inflight - 1) h->window = inflight - 1;
  if (!h->window) h->window = 1;
  h->shrunk = 1;
  h->grown = 0;
  if (h->failures < UINT32_MAX) h->failures++;
  if (h->failures < HEALTH_DEAD_AFTER || inflight > 1) return 0;
  h->dead = 1;
  h->probes = 0;
  h->died_at = now;
  h->probe_at = now + health_interval(0, h->seed);
  return 1;
}

int health_end(struct health *h, uint64_t now)
{
  if (h->failures < HEALTH_DEAD_AFTER) h->failures = HEALTH_DEAD_AFTER - 1;
  return health_failure(h, 1, now);
}

uint64_t bucket_wait(struct bucket const *b, uint32_t count, uint64_t now)
{
  now *= 1000;
  return !count || b->next <= now ? 0 : (b->next - now + 999) / 1000;
}

void bucket_take(struct bucket *b, uint32_t count, uint32_t seconds, uint64_t now)
{
  if (!count) return;
  now *= 1000;
  if (b->next + BUCKET_SLACK < now) b->next = now - BUCKET_SLACK;
  b->next += (uint64_t)seconds * 1000000 / count;
}
