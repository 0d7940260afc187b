/* progress.c - what earlier attempts have done; see progress.h */

#include <string.h>

#include <skalibs/sha256.h>

#include "command.h"
#include "job.h"
#include "progress.h"

#define DONE    '.'
#define STOPPED '!'

_Static_assert(PROGRESS_MAX * PROGRESS_RECORD <= JOB_SOFAR_MAX, "all records must fit in a note");
_Static_assert(PROGRESS_MAX <= 32, "each record needs a bit");

static char *record(struct progress *p, size_t n)
{
  return p->records + n * PROGRESS_RECORD;
}

static int holds(char const *s)
{
  return strspn(s, "0123456789abcdef") >= PROGRESS_HASH &&
         (s[PROGRESS_HASH] == DONE || s[PROGRESS_HASH] == STOPPED);
}

void progress_begin(struct progress *p, char const *text, size_t len)
{
  char one[PROGRESS_RECORD + 1] = {0};
  p->count = p->met = 0;
  if (len > sizeof p->records || len % PROGRESS_RECORD) return;
  for (size_t i = 0; i < len; i += PROGRESS_RECORD) {
    memcpy(one, text + i, PROGRESS_RECORD);
    if (!holds(one)) return;
  }
  if (len) memcpy(p->records, text, len);
  p->count = len / PROGRESS_RECORD;
}

static void add_string(SHA256Schedule *h, char const *s)
{
  sha256_update(h, s, strlen(s) + 1);
}

/* The same line of another user, or in another home, is another delivery. */
static void hash(char out[PROGRESS_HASH], struct delivery const *d, struct instruction const *i)
{
  static char const digits[] = "0123456789abcdef";
  SHA256Schedule h = SHA256_INIT();
  unsigned char sum[32];
  char const kind = (char)('0' + i->kind);
  add_string(&h, d->user);
  add_string(&h, d->home);
  add_string(&h, d->local);
  sha256_update(&h, &kind, 1);
  add_string(&h, i->text);
  sha256_final(&h, (char *)sum);
  for (size_t n = 0; n < PROGRESS_HASH; n++)
    out[n] = digits[sum[n / 2] >> (n % 2 ? 0 : 4) & 15];
}

int progress_meet(struct progress *p, struct delivery const *d, struct instruction const *i)
{
  char sum[PROGRESS_HASH];
  if (!p->count || i->kind == INSTRUCTION_FORWARD) return 0;
  hash(sum, d, i);
  for (size_t n = 0; n < p->count; n++) {
    if (p->met >> n & 1 || memcmp(record(p, n), sum, sizeof sum)) continue;
    p->met |= UINT32_C(1) << n;
    return record(p, n)[PROGRESS_HASH] == STOPPED ? COMMAND_STOP : 1;
  }
  return 0;
}

void progress_add(struct progress *p, struct delivery const *d, struct instruction const *i,
                  int result)
{
  if (p->count == PROGRESS_MAX) return;
  char *r = record(p, p->count);
  hash(r, d, i);
  r[PROGRESS_HASH] = result == COMMAND_STOP ? STOPPED : DONE;
  p->met |= UINT32_C(1) << p->count++;
}
