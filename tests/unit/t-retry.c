/* t-retry.c - qmail's retry schedule, with clocks that jump */

#include <string.h>

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
  int ok = 1, differ = 0;
  for (uint64_t id = 1700000000000000; id < 1700000000001000; id++) {
    uint32_t w = retry_jitter(400, id);
    if (w < 400 || w > 420 || w != retry_jitter(400, id)) ok = 0;
    if (w != retry_jitter(400, 1700000000000000)) differ = 1;
  }
  check(ok && differ, "jitter: up to 5 per cent later, never earlier, the same for one id");
  check(retry_jitter(UINT32_MAX / 2, 1) >= UINT32_MAX / 2, "which overflows nowhere");
  static struct {
    char const *said, *status;
    enum retry_reply reply;
  } const replies[] = {
    { "450 4.7.1 <a@b>: Recipient address rejected: Greylisted", "4.7.1", RETRY_GREY },
    { "451 4.3.0 grey-listed, please come back", "4.3.0", RETRY_GREY },
    { "450 TRY AGAIN\nLATER", "", RETRY_GREY },
    { "451 4.3.2 busy", "4.3.2", RETRY_PLAIN },
    { "421 4.7.1 try again later", "4.7.1", RETRY_PLAIN },
    { "452 4.2.2 no room", "4.2.2", RETRY_FULL },
    { "450 4.7.1 user is over quota", "4.7.1", RETRY_FULL },
    { "452 Mailbox full", "", RETRY_FULL },
    { "552 mailbox full", "", RETRY_PLAIN },
    { "45", "", RETRY_PLAIN },
    { "", "", RETRY_PLAIN },
  };
  for (size_t i = 0; i < sizeof replies / sizeof *replies; i++)
    check(retry_judge(replies[i].said, strlen(replies[i].said), replies[i].status,
                      strlen(replies[i].status)) == replies[i].reply, replies[i].said);
  check(retry_reply(RETRY_GREY, 400, 1) == RETRY_GREY_WAIT && retry_reply(RETRY_GREY, 400, 0) == 400 &&
            retry_reply(RETRY_GREY, 100, 1) == 100, "a greylist: soon, the first time");
  check(retry_reply(RETRY_FULL, 400, 1) == RETRY_FULL_WAIT && retry_reply(RETRY_FULL, 9000, 0) == 18000,
        "a full mailbox: late");
  return check_done();
}
