/* result.c - what comes of a delivery; see send.h */

#include <stdlib.h>
#include <string.h>

#include "bounce.h"
#include "clock.h"
#include "log.h"
#include "retry.h"
#include "send.h"

/* Tell the keeper. A lost line only makes one more attempt: there was no memory for it. */
static void tell(struct send *s, struct msg *m, stralloc const *line)
{
  uint64_t seq = message_tell(s, m, 'R', line->s, line->len);
  if (seq) m->seq = seq;
}

/* Is this the last recipient of a message that nothing went wrong with? Then
 * its end says all. */
static int says_itself(struct msg const *m)
{
  return m->loaded == 1 && !m->more && !m->trouble && !m->failed && m->finished + 1 == m->index;
}

static void delivered(struct send *s, struct rcpt *r)
{
  stralloc line = STRALLOC_ZERO;
  struct msg *m = r->msg;
  if (says_itself(m)) m->untold = r->index + 1;
  else if (state_put_done(&line, r->index)) tell(s, m, &line);
  m->finished++;
  stralloc_free(&line);
}

static void failed(struct send *s, struct rcpt *r, char const *text, size_t len)
{
  stralloc line = STRALLOC_ZERO;
  struct msg *m = r->msg;
  if (state_put_failed(&line, r->index, text, len)) tell(s, m, &line);
  m->finished++;
  m->failed++;
  stralloc_free(&line);
}

static void put_off(struct send *s, struct rcpt *r, uint32_t skip, uint32_t age)
{
  stralloc line = STRALLOC_ZERO;
  struct msg *m = r->msg;
  struct state_rcpt st = { .when = (uint32_t)clock_wall(), .age = age,
                           .wait = retry_wait(age, skip), .attempts = r->attempts };
  uint64_t due = clock_ms() + (uint64_t)st.wait * 1000;
  if (state_put_again(&line, r->index, s->run, &st)) tell(s, m, &line);
  message_put_off(m, due);
  stralloc_free(&line);
}

/* A temporary failure: once more, or for good when the message is too old. */
static void deferred(struct send *s, enum channel channel, struct rcpt *r, char const *text,
                     size_t len)
{
  uint32_t age = r->age + (uint32_t)((clock_ms() - r->loaded_at) / 1000);
  if (r->attempts < UINT16_MAX) r->attempts++;
  if (retry_expired(age, s->settings.lifetime, r->attempts, clock_wall())) {
    stralloc sa = STRALLOC_ZERO;
    if (stralloc_catb(&sa, text, len) &&
        (!len || text[len - 1] == '\n' || stralloc_append(&sa, '\n')) &&
        stralloc_cats(&sa, BOUNCE_TOO_LONG)) {
      log_result(r, 'D', sa.s, sa.len);
      failed(s, r, sa.s, sa.len);
      stralloc_free(&sa);
      return;
    }
    stralloc_free(&sa);
  }
  log_result(r, 'Z', text, len);
  put_off(s, r, channel == CHANNEL_LOCAL ? RETRY_SKIP_LOCAL : RETRY_SKIP_REMOTE, age);
}

void result_take(struct send *s, enum channel channel, struct rcpt *r, char letter,
                 char const *text, size_t len)
{
  switch (letter) {
  case 'K':
    log_result(r, letter, text, len);
    delivered(s, r);
    break;
  case 'D':
    log_result(r, letter, text, len);
    failed(s, r, text, len);
    break;
  case 'Z': deferred(s, channel, r, text, len); break;
  default:
    log_mangled(r);
    put_off(s, r, channel == CHANNEL_LOCAL ? RETRY_SKIP_LOCAL : RETRY_SKIP_REMOTE, r->age);
  }
  message_without(s, r);
}
