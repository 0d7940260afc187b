/* t-waiting.c - the heap and the set that hold what waits, against simple models */

#include <stdlib.h>

#include "check.h"
#include "../../send/idset.h"
#include "../../send/waiting.h"

#define COUNT 20000

static uint32_t seed = 12345;

static uint32_t next(void)
{
  return seed = seed * 1664525 + 1013904223;
}

static void check_heap(void)
{
  struct waiting w = WAITING_ZERO;
  uint64_t sum = 0, got = 0, last = 0;
  int ok = 1;
  for (size_t i = 1; i <= COUNT; i++) {
    sum += i;
    if (!waiting_push(&w, i, i + 7, next() % 1000)) ok = 0;
  }
  while (w.count) {
    struct waiting_entry e = waiting_pop(&w);
    if (e.key < last) ok = 0;
    last = e.key;
    got += e.id;
  }
  check(ok && got == sum, "what goes into the heap comes out, in order");
  free(w.entries);
}

static void check_pick(void)
{
  struct waiting w = WAITING_ZERO, to = WAITING_ZERO;
  struct idset ids = IDSET_ZERO;
  int ok = 1;
  for (size_t i = 1; i <= COUNT; i++) {
    waiting_push(&w, i, 0, 4 * (next() % 1000) + 3);
    if (i % 7 == 0) idset_add(&ids, i);
  }
  waiting_pick(&w, &ids, 1, &w);
  uint64_t last = 0;
  size_t first = 0;
  for (size_t n = 0; w.count > COUNT / 2; n++) {
    struct waiting_entry e = waiting_pop(&w);
    first += e.key == 1;
    ok &= e.key >= last && (e.key == 1) == (e.id % 7 == 0);
    last = e.key;
  }
  check(ok && first == COUNT / 7, "those that are picked come first, the others in order");
  size_t left = w.count;
  idset_remove(&ids, 7);
  for (size_t i = 1; i <= COUNT; i += 2) idset_add(&ids, i);
  waiting_pick(&w, &ids, 0, &to);
  for (size_t i = 0; i < to.count; i++) ok &= idset_has(&ids, to.entries[i].id) && !to.entries[i].key;
  check(ok && to.count > COUNT / 8 && to.count + w.count == left, "they can move to another heap");
  last = 0;
  while (w.count) {
    struct waiting_entry e = waiting_pop(&w);
    ok &= e.key >= last && !idset_has(&ids, e.id);
    last = e.key;
  }
  check(ok, "and what stays is in order");
  free(w.entries);
  free(to.entries);
  free(ids.slots);
}

static void check_set(void)
{
  static char in[4096];
  struct idset s = IDSET_ZERO;
  size_t count = 0;
  int ok = 1;
  check(!idset_has(&s, 1), "an empty set has nothing");
  idset_remove(&s, 1);
  for (int i = 0; i < 10 * COUNT; i++) {
    uint64_t id = next() >> 8 & 4095;
    /* Ids that fall into few slots. */
    uint64_t key = (id + 1) << 40;
    if (!id) continue;
    if (next() >> 31) {
      int r = idset_add(&s, key);
      if (r != !in[id]) ok = 0;
      count += !in[id];
      in[id] = 1;
    } else {
      idset_remove(&s, key);
      count -= (size_t)in[id];
      in[id] = 0;
    }
    if (s.count != count || idset_has(&s, key) != in[id]) ok = 0;
  }
  for (uint64_t id = 1; id < 4096; id++)
    if (idset_has(&s, (id + 1) << 40) != in[id]) ok = 0;
  check(ok, "the set holds what was put in and not taken out");
  check(s.size <= 8192, "in not much more room than it needs");
  free(s.slots);
}

int main(void)
{
  check_heap();
  check_pick();
  check_set();
  return check_done();
}
