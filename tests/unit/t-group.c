/* t-group.c - next hops: shares of memory and of slots, parked messages, probes, memory used */

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "../../send/group.h"

#define MANY 100000

static struct groups gs;

static struct group *take(char const *name)
{
  return group_take(&gs, GROUP_DOMAIN, name, strlen(name));
}

static int park(struct group *g, uint64_t id, uint64_t expires)
{
  int r = group_park(&gs, g, LANE_NEW, (struct waiting_entry){ id, 0, expires << WAIT_SHIFT });
  group_review(&gs, g, 1000);
  return r;
}

static uint64_t unpark(size_t room, uint64_t now)
{
  struct waiting_entry e;
  return group_unpark(&gs, room, now, &e) ? e.id : 0;
}

static void kill_group(struct group *g)
{
  for (int i = 0; i < HEALTH_DEAD_AFTER; i++) health_failure(&g->health, 1, 1000);
}

static void test_names(void)
{
  struct group *a = take("a"), *b = take("b");
  check(a && a != b && take("a") == a && a->refs == 2, "a group is found by its name");
  check(group_take(&gs, GROUP_MX, "a", 1) != a, "and by what it is");
  group_unref(&gs, b);
  check(gs.first && !gs.first->next->next, "one that nobody needs is freed");
}

static void test_full(void)
{
  struct group *a = take("a");
  check(!group_is_full(a, 1), "one that has nothing is never full");
  a->batches = 500;
  check(group_is_full(a, 500) && !group_is_full(a, 501), "as much as is left for the others is enough");
  a->batches = 0;
}

static void test_parked(void)
{
  struct group *a = take("a"), *b = take("b");
  park(a, 1, 5000);
  park(a, 2, 4000);
  park(b, 3, 9000);
  check(unpark(10, 1000) == 2 && unpark(10, 1000) == 3 && unpark(10, 1000) == 1 && !unpark(10, 1000),
        "groups take turns, the oldest message of each first");
  park(a, 1, 5000);
  a->batches = 10;
  check(!group_any(&gs, 10, 1000) && unpark(11, 1000) == 1, "a full group's messages stay");
  a->batches = 0;
  kill_group(b);
  park(b, 3, 500000);
  park(b, 4, 400000);
  check(!group_any(&gs, 10, 1000) && gs.wake_at == b->health.probe_at, "so do a dead one's, until the probe");
  groups_wake(&gs, gs.wake_at - 1);
  check(!group_any(&gs, 10, b->health.probe_at - 1), "not before");
  uint64_t at = b->health.probe_at;
  groups_wake(&gs, at);
  check(unpark(10, at) == 4 && !unpark(10, at), "which takes one of them");
  b->probing = 1;
  groups_hurry(&gs, at);
  check(!group_any(&gs, 10, at), "while it is under way no other one");
  b->probing = 0;
  health_failure(&b->health, 1, at);
  health_failure(&b->health, 1, at);
  b->health.probe_at = 900000;
  group_review(&gs, b, 499999);
  groups_wake(&gs, 499999);
  check(!unpark(10, 499999) && gs.wake_at >= 500000 && gs.wake_at <= 500000 + WAKE_STEP, "after two failed probes");
  groups_wake(&gs, gs.wake_at);
  check(unpark(10, 500000 + WAKE_STEP) == 3, "messages come out when they expire");
}

static void test_slots(void)
{
  struct group *a = take("a"), *b = take("b");
  a->batches = b->batches = 9;
  group_changed(&gs, a);
  a->health.window = 100;
  int n = 0;
  while (n < 100 && group_may_start(&gs, a, 1000) && !group_has_enough(&gs, a, 20)) {
    group_started(&gs, a, 1000);
    n++;
  }
  check(n == 18, "a group alone leaves some slots free");
  group_changed(&gs, b);
  check(!group_has_enough(&gs, b, 20), "for another one");
  a->health.window = 18;
  check(!group_may_start(&gs, a, 1000), "no more than the window");
  a->health.window = 100;
  a->limits.connections = 17;
  check(!group_may_start(&gs, a, 1000), "nor than the limit");
}

static void test_memory(void)
{
  struct group *a = take("many");
  int ok = 1;
  for (uint64_t i = 1; i <= MANY; i++) ok &= park(a, i, i * 7919 % MANY);
  size_t bytes = a->parked[LANE_NEW].room * sizeof *a->parked[LANE_NEW].entries;
  printf("# a parked message: %zu bytes, with room to grow %zu; its id in the set at most %zu\n",
         sizeof(struct waiting_entry), bytes / MANY, sizeof(uint64_t) * 8 / 3);
  check(ok && bytes / MANY + sizeof(uint64_t) * 8 / 3 <= WAITING_BYTES,
        "100,000 parked messages take no more than 64 bytes each");
}

int main(void)
{
  test_names();
  test_full();
  test_parked();
  test_slots();
  test_memory();
  return check_done();
}
