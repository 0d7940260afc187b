/* limits.c - control/loginlimits; see limits.h */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <skalibs/stralloc.h>
#include <skalibs/types.h>

#include "control.h"
#include "limits.h"
#include "seats.h"

#define FILE_NAME "loginlimits"
#define PARTS     12
#define PART_MS   300000ull
#define NONE      UINT32_MAX

struct sent {
  uint64_t key;
  uint64_t part; /* the number of the newest */
  uint32_t messages[PARTS];
  uint32_t recipients[PARTS];
};

/* Who has sent lately is worth to be kept. */
static int64_t worth(void const *seat, uint64_t now)
{
  struct sent s;
  (void)now;
  memcpy(&s, seat, sizeof s);
  return (int64_t)s.part;
}

static struct sent rows[SEATS_ROWS][SEATS_WIDTH];
static struct seats table = { .rows = rows, .size = sizeof(struct sent), .worth = worth };
static stralloc lines = STRALLOC_ZERO;

/* A number up to the end or a colon. 1 and <*n>, or 0. */
static int number(char const *s, uint32_t *n)
{
  char text[UINT32_FMT + 1];
  size_t len = strcspn(s, ":");
  *n = NONE;
  if (!len) return 1;
  if (len >= sizeof text) return 0;
  memcpy(text, s, len);
  text[len] = 0;
  return uint320_scan(text, n);
}

static int read_line(char const *line, uint32_t *messages, uint32_t *recipients)
{
  char const *a = strchr(line, ':');
  char const *b = a ? strchr(a + 1, ':') : 0;
  *recipients = NONE;
  return a && a > line && number(a + 1, messages) && (!b || (!strchr(b + 1, ':') && number(b + 1, recipients)));
}

int limits_load(void)
{
  stralloc fresh = STRALLOC_ZERO;
  uint32_t m, r;
  int ok = control_list(FILE_NAME, &fresh) != -1;
  for (size_t i = 0; ok && i < fresh.len; i += strlen(fresh.s + i) + 1)
    if (!read_line(fresh.s + i, &m, &r)) {
      char text[160];
      snprintf(text, sizeof text, "\"%.80s\": write login:messages:recipients", fresh.s + i);
      control_bad_entry(FILE_NAME, text);
      ok = 0;
    }
  if (!ok) {
    stralloc_free(&fresh);
    return 0;
  }
  stralloc_free(&lines);
  lines = fresh;
  return 1;
}

/* Its limits: 1, or 0 when there are none. */
static int find(char const *login, size_t len, uint32_t *messages, uint32_t *recipients)
{
  char const *found = 0;
  for (size_t i = 0; i < lines.len; i += strlen(lines.s + i) + 1) {
    char const *line = lines.s + i;
    size_t n = strcspn(line, ":");
    if (n == len && !strncasecmp(line, login, len)) {
      found = line;
      break;
    }
    if (n == 1 && *line == '*' && !found) found = line;
  }
  return found && read_line(found, messages, recipients);
}

/* Forget what is older than an hour. */
static void shift(struct sent *s, uint64_t part)
{
  for (uint64_t i = 0; s->part < part && i < PARTS; i++) {
    s->part++;
    s->messages[s->part % PARTS] = 0;
    s->recipients[s->part % PARTS] = 0;
  }
  s->part = part;
}

/* In how many parts from now is there room for <more>, of <max>? 0: now. */
static unsigned int parts(uint32_t const sent[PARTS], uint64_t part, uint32_t max, uint32_t more)
{
  uint64_t sum = more;
  for (size_t i = 0; i < PARTS; i++) sum += sent[i];
  for (unsigned int n = 0; n < PARTS; n++) {
    if (max == NONE || sum <= max) return n;
    sum -= sent[(part + 1 + n) % PARTS]; /* the oldest */
  }
  return PARTS;
}

unsigned int limits_ask(char const *login, size_t len, uint32_t recipients, uint64_t now)
{
  uint32_t max_messages, max_recipients;
  uint64_t part = now / PART_MS + 1;
  if (!find(login, len, &max_messages, &max_recipients)) return 0;
  if (!max_messages || recipients > max_recipients) return LIMITS_NEVER;
  struct sent *s = seats_take(&table, seats_key('s', login, len, "", 0), now);
  shift(s, part);
  unsigned int a = parts(s->messages, part, max_messages, 1);
  unsigned int b = parts(s->recipients, part, max_recipients, recipients);
  if (b > a) a = b;
  if (a) return (unsigned int)((part - 1 + a) * PART_MS - now) / 1000 + 1;
  s->messages[part % PARTS]++;
  s->recipients[part % PARTS] += recipients;
  return 0;
}
