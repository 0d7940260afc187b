/* failures.c - what failed logins cost; see failures.h */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "failures.h"
#include "seats.h"

#define DRAIN_MS (FAILURES_DRAIN_S * 1000ull)

_Static_assert(FAILURES_ADDRESS == sizeof(struct in6_addr), "any address has room");

struct count {
  uint64_t key;
  uint64_t since;  /* <n> is of this moment */
  uint64_t secret; /* the last wrong one, as a key; or 0 */
  uint32_t n;
  uint32_t good;   /* it has succeeded once */
};

/* Counts go before what is only known to be good. */
static int64_t worth(void const *seat, uint64_t now)
{
  struct count c;
  memcpy(&c, seat, sizeof c);
  uint64_t drained = (now - c.since) / DRAIN_MS;
  int64_t left = c.n > drained ? (int64_t)(c.n - drained) : 0;
  return left * 1000 + (c.good ? 500 : 0) - (int64_t)(drained < 400 ? drained : 400);
}

static struct count rows[SEATS_ROWS][SEATS_WIDTH];
static struct seats table = { .rows = rows, .size = sizeof(struct count), .worth = worth };

size_t failures_network(char out[FAILURES_ADDRESS], char const *ip)
{
  if (inet_pton(AF_INET, ip, out) == 1) return sizeof(struct in_addr);
  if (inet_pton(AF_INET6, ip, out) != 1) return 0;
  struct in6_addr a;
  memcpy(&a, out, sizeof a);
  if (!IN6_IS_ADDR_V4MAPPED(&a)) return FAILURES_NETWORK_SIZE;
  memcpy(out, a.s6_addr + 12, sizeof(struct in_addr));
  return sizeof(struct in_addr);
}

void failures_who(struct failures_who *w, char const *ip, char const *login, size_t len)
{
  char network[FAILURES_ADDRESS];
  size_t n = failures_network(network, ip);
  w->pair = seats_key('p', network, n, login, len);
  w->network = n ? seats_key('n', network, n, "", 0) : 0;
  w->login = seats_key('l', login, len, "", 0);
}

static void drain(struct count *c, uint64_t now)
{
  uint64_t drained = (now - c->since) / DRAIN_MS;
  if (!c->n) c->since = now;
  if (!drained || !c->n) return;
  c->n = c->n > drained ? c->n - (uint32_t)drained : 0;
  c->since = c->n ? c->since + drained * DRAIN_MS : now;
  if (!c->n) c->secret = 0;
}

static struct count *look(uint64_t key, uint64_t now)
{
  struct count *c = key ? seats_find(&table, key) : 0;
  if (c) drain(c, now);
  return c;
}

/* Seconds until fewer than <max> are left. */
static unsigned int seconds(struct count const *c, uint32_t max, uint64_t now)
{
  if (!c || c->n < max) return 0;
  uint64_t end = c->since + (c->n - max + 1) * DRAIN_MS;
  return end > now ? (unsigned int)((end - now + 999) / 1000) : 1;
}

unsigned int failures_wait(struct failures_who const *w, uint64_t now)
{
  struct count const *pair = look(w->pair, now);
  unsigned int s = seconds(pair, FAILURES_PAIR, now);
  if (!s && !(pair && pair->good)) s = seconds(look(w->network, now), FAILURES_NETWORK, now);
  return s;
}

static uint32_t add(uint64_t key, uint32_t max, uint64_t now)
{
  if (!key) return 0;
  struct count *c = seats_take(&table, key, now);
  drain(c, now);
  if (c->n < max + FAILURES_OVER) c->n++;
  return c->n;
}

static unsigned int hold(uint32_t pair, uint32_t network, uint32_t login)
{
  unsigned int x = pair < 4 ? 1u << (pair - (pair > 0)) : FAILURES_HOLD_MAX;
  if (network > FAILURES_NETWORK / 2 && x < FAILURES_HOLD_MAX / 2) x = FAILURES_HOLD_MAX / 2;
  if (login > FAILURES_LOGIN && x < FAILURES_HOLD_MAX / 2) x = FAILURES_HOLD_MAX / 2;
  return x;
}

unsigned int failures_add(struct failures_who const *w, char const *secret, size_t len, uint64_t now)
{
  uint64_t key = len ? seats_key('s', secret, len, "", 0) : 0;
  struct count *c = seats_take(&table, w->pair, now);
  drain(c, now);
  if (key && c->secret == key) return hold(c->n, 0, 0);
  c->secret = key;
  if (c->n < FAILURES_PAIR + FAILURES_OVER) c->n++;
  uint32_t n = c->n; /* the next two may take its seat */
  return hold(n, add(w->network, FAILURES_NETWORK, now), add(w->login, FAILURES_LOGIN, now));
}

void failures_clear(struct failures_who const *w, uint64_t now)
{
  struct count *c = seats_take(&table, w->pair, now);
  c->n = 0;
  c->secret = 0;
  c->since = now;
  c->good = 1;
}
