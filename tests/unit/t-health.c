/* t-health.c - windows, dead hosts and rates */

#include "check.h"
#include "../../send/health.h"

static void test_window(void)
{
  struct health h;
  health_init(&h, 1);
  check(h.window == HEALTH_START, "a window starts small");
  for (int i = 0; i < 15; i++) health_success(&h, 20);
  check(h.window == 20, "each success opens it by one");
  for (int i = 0; i < 50; i++) health_success(&h, 20);
  check(h.window == 20, "up to the limit");
  check(!health_failure(&h, 20, 1000) && h.window == 19, "a failure closes it to what else is there");
  check(!health_failure(&h, 5, 1000) && h.window == 4, "and to less where there was less");
  for (int i = 0; i < 3; i++) health_success(&h, 20);
  check(h.window == 4, "after a failure one success is not enough");
  health_success(&h, 20);
  check(h.window == 5, "a whole window of them is");
  check(!health_failure(&h, 1, 1000) && h.window == 1, "one job stays possible");
}

static void test_dead(void)
{
  struct health h;
  int died = 0;
  health_init(&h, 7);
  for (uint32_t i = 1; i < HEALTH_DEAD_AFTER; i++) died += health_failure(&h, 1, 1000);
  health_success(&h, 20);
  for (uint32_t i = 1; i < HEALTH_DEAD_AFTER; i++) died += health_failure(&h, 1, 1000);
  check(!died, "some failures kill nobody, nor do many with a success between");
  check(!health_failure(&h, 2, 1000) && !h.dead, "nor while another job may succeed");
  check(health_failure(&h, 1, 5000) == 1 && h.dead && h.died_at == 5000, "enough of them do");
  check(h.probe_at >= 5000 + HEALTH_PROBE_MIN &&
            h.probe_at <= 5000 + HEALTH_PROBE_MIN * (100 + HEALTH_JITTER) / 100,
        "the first probe is a minute later");
  uint64_t last = 0, now = 5000;
  int grows = 1;
  for (int i = 0; i < 10; i++) {
    now = h.probe_at;
    if (health_failure(&h, 1, now)) grows = 0;
    uint64_t gap = h.probe_at - now;
    if (gap < HEALTH_PROBE_MAX && gap < last) grows = 0;
    last = gap;
  }
  check(grows && h.probes == 10, "each interval is longer than the one before");
  check(last >= HEALTH_PROBE_MAX && last <= HEALTH_PROBE_MAX * (100 + HEALTH_JITTER) / 100,
        "up to half an hour");
  check(health_success(&h, 20) == 1 && !h.dead && h.window == HEALTH_START && !h.failures,
        "a success revives");
  check(!health_success(&h, 20), "once");
  for (int i = 0; i < HEALTH_DEAD_AFTER; i++) health_failure(&h, 1, now);
  check(h.dead && health_answer(&h) == 1 && !h.dead, "so does an answer that takes nothing");
  check(health_failure(&h, 1, now) == 1, "but then one failure is enough");
  int same = 1;
  for (uint32_t i = 0; i < 1000; i++) {
    uint64_t ms = health_interval(3, i);
    if (ms < 480000 || ms > 480000 + 48000) same = 0;
  }
  check(same, "jitter adds at most its share, and takes nothing");
  check(health_interval(UINT32_MAX, 1) <= HEALTH_PROBE_MAX * 11 / 10, "no interval overflows");
}

static uint64_t run(uint32_t count, uint32_t seconds, uint64_t step, uint64_t time)
{
  struct bucket b = { 0 };
  uint64_t n = 0;
  for (uint64_t now = 1000000; now < 1000000 + time; now += step)
    while (!bucket_wait(&b, count, now)) {
      bucket_take(&b, count, seconds, now);
      n++;
    }
  return n;
}

static void test_bucket(void)
{
  struct bucket b = { 0 };
  check(!bucket_wait(&b, 0, 5), "without a rate nobody waits");
  uint64_t n = run(10, 1, 1, 10000);
  check(n >= 100 && n <= 102, "ten a second");
  n = run(100, 1, 37, 10000);
  check(n >= 990 && n <= 1012, "a hundred, looked at seldom");
  n = run(3, 60, 100, 600000);
  check(n >= 30 && n <= 31, "three a minute");
  n = run(5000, 1, 10, 2000);
  check(n >= 9900 && n <= 10600, "five thousand");
  bucket_take(&b, 1, 60, 1000000);
  uint64_t wait = bucket_wait(&b, 1, 1000000);
  check(wait > 59000 && wait <= 60000 && !bucket_wait(&b, 1, 1000000 + wait),
        "it says how long to wait");
}

int main(void)
{
  test_window();
  test_dead();
  test_bucket();
  return check_done();
}
