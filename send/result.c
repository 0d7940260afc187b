/* result.c - what comes of a delivery; see send.h */

#include <stdlib.h>
#include <string.h>

#include "bounce.h"
#include "clock.h"
#include "dsn.h"
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
  return m->loaded == 1 && !m->more && !m->trouble && !m->failed && !m->arrived &&
         m->finished + 1 == m->index;
}

/* Is there a sender to tell, and has he asked for that? Failures he need not ask for. */
static int is_asked(struct rcpt const *r, unsigned int what)
{
  unsigned int notify = dsn_find_notify(r->extras, r->extraslen);
  if (!notify) notify = DSN_FAILURE | DSN_DELAY;
  return notify & what && bounce_kind(r->msg->sender.s, r->msg->sender.len) == BOUNCE_SINGLE;
}

/* Note what the sender is to be told. A lost line only makes one more attempt. */
static void report(struct send *s, struct rcpt *r, char action, char const *text, size_t len)
{
  struct state_report const what = { .rcpt = r->index, .when = (uint32_t)clock_wall(),
                                     .action = action };
  stralloc line = STRALLOC_ZERO;
  if (state_put_report(&line, &what, text, len)) tell(s, r->msg, &line);
  stralloc_free(&line);
}

void result_sofar(struct send *s, struct rcpt *r, char const *text, size_t len)
{
  stralloc line = STRALLOC_ZERO;
  if (state_put_sofar(&line, r->index, text, len)) tell(s, r->msg, &line);
  stralloc_free(&line);
}

/* What the sender is told of a success here. */
static char action_of(enum channel channel, struct rcpt const *r, char const *text, size_t len)
{
  if (channel == CHANNEL_REMOTE)
    return r->note == JOB_FINAL ? STATE_ACT_DELIVERED : STATE_ACT_RELAYED;
  return r->note == JOB_LISTED ? STATE_ACT_DELIVERED : bounce_local_action(text, len);
}

static void delivered(struct send *s, enum channel channel, struct rcpt *r, char const *text,
                      size_t len)
{
  stralloc line = STRALLOC_ZERO;
  struct msg *m = r->msg;
  if (is_asked(r, DSN_SUCCESS) && r->note != JOB_PASSED) {
    report(s, r, action_of(channel, r, text, len), text, len);
    m->arrived++;
  } else if (says_itself(m)) m->untold = r->index + 1;
  else if (state_put_done(&line, r->index)) tell(s, m, &line);
  m->finished++;
  stralloc_free(&line);
}

static void failed(struct send *s, struct rcpt *r, char const *text, size_t len)
{
  struct msg *m = r->msg;
  report(s, r, STATE_ACT_FAILED, text, len);
  m->finished++;
  m->failed++;
}

/* Append a report, with a last newline. */
static int add_text(stralloc *sa, char const *text, size_t len)
{
  return stralloc_catb(sa, text, len) &&
         (!len || text[len - 1] == '\n' || stralloc_append(sa, '\n'));
}

/* Seconds until it is tried again after this report. */
static uint32_t wait_after(struct rcpt const *r, enum channel channel, uint32_t age,
                           char const *text, size_t len)
{
  size_t said, status;
  uint32_t wait = retry_wait(age, channel == CHANNEL_LOCAL ? RETRY_SKIP_LOCAL : RETRY_SKIP_REMOTE);
  size_t slen = bounce_status(text, len, &status);
  size_t n = bounce_said(text, len, &said);
  if (n && channel == CHANNEL_REMOTE)
    wait = retry_reply(retry_judge(text + said, n, text + status, slen), wait, !r->tried);
  return retry_jitter(wait, r->msg->q.id);
}

static void put_off(struct send *s, struct rcpt *r, uint32_t age, uint32_t wait, struct group *hop)
{
  stralloc line = STRALLOC_ZERO;
  struct msg *m = r->msg;
  struct state_rcpt st = { .when = (uint32_t)clock_wall(), .age = age,
                           .wait = wait, .attempts = r->attempts };
  uint64_t due = clock_ms() + (uint64_t)wait * 1000;
  if (state_put_again(&line, r->index, s->run, &st)) tell(s, m, &line);
  if (hop) nexthop_rcpt(m, hop, age, settings_lifetime(&s->settings, r->addr, r->addrlen));
  else message_put_off(m, due);
  stralloc_free(&line);
}

/* It takes long: the sender is told once, with what else is late when nothing more can be tried now.
 * <left>: seconds until it is given up. */
static void warn(struct send *s, struct rcpt *r, uint32_t left, char const *text, size_t len)
{
  stralloc sa = STRALLOC_ZERO;
  if (r->warned || !is_asked(r, DSN_DELAY)) return;
  if (add_text(&sa, text, len) && stralloc_cats(&sa, BOUNCE_UNTIL) &&
      bounce_put_date(&sa, clock_wall() + left))
    report(s, r, STATE_ACT_DELAYED, sa.s, sa.len);
  stralloc_free(&sa);
  r->msg->delayed++;
}

/* A temporary failure: once more, or for good when the message is too old. */
static void deferred(struct send *s, enum channel channel, struct rcpt *r, char const *text,
                     size_t len, struct group *hop)
{
  uint32_t age = r->age + (uint32_t)((clock_ms() - r->loaded_at) / 1000);
  if (r->attempts < UINT16_MAX) r->attempts++;
  uint32_t lifetime = settings_lifetime(&s->settings, r->addr, r->addrlen);
  if (retry_expired(age, lifetime, r->attempts, clock_wall())) {
    stralloc sa = STRALLOC_ZERO;
    if (add_text(&sa, text, len) && stralloc_cats(&sa, BOUNCE_TOO_LONG)) {
      log_result(s, r, 'D', sa.s, sa.len);
      failed(s, r, sa.s, sa.len);
      stralloc_free(&sa);
      return;
    }
    stralloc_free(&sa);
  }
  log_result(s, r, 'Z', text, len);
  if (s->settings.delaywarn && age >= s->settings.delaywarn)
    warn(s, r, lifetime > age ? lifetime - age : 0, text, len);
  put_off(s, r, age, wait_after(r, channel, age, text, len), hop);
}

void result_take(struct send *s, enum channel channel, struct rcpt *r, char letter,
                 char const *text, size_t len, struct group *hop)
{
  switch (letter) {
  case 'K':
    log_result(s, r, letter, text, len);
    delivered(s, channel, r, text, len);
    break;
  case 'D':
    log_result(s, r, letter, text, len);
    failed(s, r, text, len);
    break;
  case 'Z': deferred(s, channel, r, text, len, hop); break;
  default:
    log_mangled(r);
    put_off(s, r, r->age, wait_after(r, channel, r->age, "", 0), hop);
  }
  message_without(s, r);
}
