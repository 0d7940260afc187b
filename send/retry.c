/* retry.c - when to try again, and when to give up; see retry.h */

#include <string.h>

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

uint32_t retry_jitter(uint32_t wait, uint64_t id)
{
  uint64_t h = id * 0x9e3779b97f4a7c15u >> 48;
  return wait + (uint32_t)((uint64_t)wait * RETRY_JITTER * h / 6553600);
}

uint32_t retry_reply(enum retry_reply reply, uint32_t wait, int first)
{
  if (reply == RETRY_GREY && first && wait > RETRY_GREY_WAIT) return RETRY_GREY_WAIT;
  if (reply == RETRY_FULL) return wait > RETRY_FULL_WAIT / 2 ? 2 * wait : RETRY_FULL_WAIT;
  return wait;
}

/* Does s[0..len) hold <word>, in any case? Spaces, '-' and '_' in it are alike. */
static int holds(char const *s, size_t len, char const *word)
{
  size_t n = strlen(word);
  for (size_t i = 0; i + n <= len; i++) {
    size_t k = 0;
    while (k < n && ((s[i + k] | 32) == word[k] || (word[k] == ' ' && strchr(" -_\n", s[i + k])))) k++;
    if (k == n) return 1;
  }
  return 0;
}

static int is_one_of(char const *s, size_t len, char const *const *words)
{
  for (; *words; words++)
    if (holds(s, len, *words)) return 1;
  return 0;
}

enum retry_reply retry_judge(char const *said, size_t len, char const *status, size_t slen)
{
  static char const *const grey[] = { "greylist", "graylist", "grey list", "gray list",
                                      "try again later", 0 };
  static char const *const full[] = { "mailbox full", "mailbox is full", "over quota",
                                      "quota exceeded", 0 };
  if (len < 3 || said[0] != '4') return RETRY_PLAIN;
  if (slen == 5 && !memcmp(status, "4.2.2", 5)) return RETRY_FULL;
  if (is_one_of(said, len, full)) return RETRY_FULL;
  if (memcmp(said, "450", 3) && memcmp(said, "451", 3)) return RETRY_PLAIN;
  if (slen == 5 && !memcmp(status, "4.7.1", 5)) return RETRY_GREY;
  return is_one_of(said, len, grey) ? RETRY_GREY : RETRY_PLAIN;
}
