/* clock.c - the clocks that pipit goes by; see clock.h */

#include <time.h>

#include "clock.h"

uint64_t clock_ms(void)
{
  struct timespec t;
  if (clock_gettime(CLOCK_MONOTONIC, &t) == -1) return 1;
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + 1;
}

int64_t clock_wall(void)
{
  time_t now = time(0);
  return now < 0 ? 0 : (int64_t)now;
}

uint64_t clock_wall_us(void)
{
  struct timespec t;
  if (clock_gettime(CLOCK_REALTIME, &t) == -1 || t.tv_sec < 0) return 0;
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void clock_nap(unsigned int ms)
{
  struct timespec const t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
  nanosleep(&t, 0);
}
