/* clock.c - the two clocks of the scheduler; see clock.h */

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
