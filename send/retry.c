/* retry.c - when to try again, and when to give up; see retry.h */

#include "clock.h"
#include "retry.h"

static uint32_t square_root(uint32_t x)
{
  uint32_t root = 0;
  for (uint32_t bit = 1u << 15; bit; bit >>= 1)
    if ((uint64_t)(root + bit) * (root + bit) <= x) root += bit;
  return root;
}

uint32_t retry_wait(uint32_t age, uint32_t skip)
{
  if (age > RETRY_AGE_MAX) age = RETRY_AGE_MAX;
  uint32_t n = square_root(age) + skip;
  return n * n - age;
}

uint32_t retry_age(uint32_t age, int64_t when, int64_t now)
{
  int64_t gap = now > when ? now - when : 0;
  if (gap > RETRY_GAP_MAX) gap = RETRY_GAP_MAX;
  return age > UINT32_MAX - RETRY_GAP_MAX ? age : age + (uint32_t)gap;
}

int retry_expired(uint32_t age, uint32_t lifetime, uint32_t attempts, int64_t now)
{
  return now >= CLOCK_PLAUSIBLE && attempts >= RETRY_ATTEMPTS && age > lifetime;
}
