/* t-retry.c - qmail's retry schedule, with clocks that jump */

#include "check.h"
#include "../../send/retry.h"

#define NOW  1800000000
#define WEEK 604800

int main(void)
{
  /* The attempts of a remote recipient, in seconds after its birth, as in qmail. */
  uint32_t age = 0;
  int same = 1;
  for (uint32_t n = 1; n <= 38; n++) {
    age += retry_wait(age, RETRY_SKIP_REMOTE);
    if (age != n * n * 400) same = 0;
  }
  check(same, "remote: 400, 1600, 3600, ... seconds after the birth");
  check(retry_wait(0, RETRY_SKIP_LOCAL) == 100 && retry_wait(100, RETRY_SKIP_LOCAL) == 300,
        "local: 100, 400, ...");
  check(retry_wait(WEEK, RETRY_SKIP_REMOTE) < 32000, "after a week: less than nine hours");
  check(retry_wait(UINT32_MAX, RETRY_SKIP_REMOTE) == retry_wait(WEEK, RETRY_SKIP_REMOTE),
        "no interval grows past that");
  check(retry_age(10, NOW, NOW + 400) == 410, "the age grows with the clock");
  check(retry_age(10, NOW, NOW - 400) == 10, "a clock that goes back makes nothing younger");
  check(retry_age(10, NOW, 0) == 10, "nor does one at 1970");
  check(retry_age(10, NOW, (int64_t)4102444800) == 10 + RETRY_GAP_MAX, "one at 2100 makes nothing old");
  check(retry_age(10, 0, NOW) == 10 + RETRY_GAP_MAX, "a birth in 1970 neither");
  check(retry_age(UINT32_MAX, NOW, NOW + 1) == UINT32_MAX, "no age overflows");
  check(retry_expired(WEEK + 1, WEEK, 2, NOW), "a week old, two attempts in this run: enough");
  check(!retry_expired(WEEK, WEEK, 2, NOW), "not before a week");
  check(!retry_expired(WEEK + 1, WEEK, 1, NOW), "not after one attempt in this run");
  check(!retry_expired(WEEK + 1, WEEK, 2, 86400), "not with a clock that was never set");
  check(retry_expired(1, 0, 2, NOW), "queuelifetime 0: after the second attempt");
  return check_done();
}
