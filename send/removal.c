/* removal.c - recipients that the administrator removes; see command.h
 *
 * A message of which some are meant is pending until it was loaded once for
 * this purpose alone (doomed): those that are meant are finished, the others put
 * off. One that is active is called back first: no more of it is started, and
 * what is in flight comes to its end, and counts.
 */

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "command.h"
#include "logline.h"
#include "send.h"

#define REMOVED_TEXT                                                                               \
  "The administrator of this mail server removed the message from its queue. (#5.0.0)\n"

void removal_begin(struct send *s, struct selector const *sel, int bounce)
{
  s->removal = (struct removal){ .on = 1, .sel = *sel, .bounce = bounce };
}

void removal_end(struct send *s)
{
  free(s->removal.pending.slots);
  s->removal = (struct removal){ 0 };
}

/* Nothing of <m> was loaded yet: let it be for the removal alone. */
void removal_doom(struct send const *s, struct msg *m)
{
  m->doomed = s->removal.on && idset_has(&s->removal.pending, m->q.id);
}

void removal_add(struct send *s, uint64_t id)
{
  struct msg *m = message_find(s, id);
  if (idset_add(&s->removal.pending, id) != 1 || !m) return;
  m->doomed = !m->index;
  if (m->doomed) return;
  m->recalled = 1;
  message_put_off(m, clock_ms());
}

static int waits_in_recalled(void *data, struct rcpt const *r)
{
  (void)data;
  return r->msg->recalled;
}

void removal_recall(struct send *s)
{
  for (struct rcpt *r = dests_sweep(&s->dests, waits_in_recalled, 0), *next; r; r = next) {
    next = r->next;
    message_without(s, r);
  }
}

static void log_removed(struct msg const *m, char const *addr, size_t len, int bounce)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "remove msg ");
  logline_number(&l, m->q.id);
  logline_keyb(&l, "rcpt", addr, len);
  logline_key(&l, "bounce", bounce ? "yes" : "no");
  logline_write(&l);
}

static int tell(struct send *s, struct msg *m, uint32_t index)
{
  struct state_report const what = { .rcpt = index, .when = (uint32_t)clock_wall(),
                                     .action = STATE_ACT_FAILED };
  stralloc line = STRALLOC_ZERO;
  int made = s->removal.bounce
                 ? state_put_report(&line, &what, REMOVED_TEXT, sizeof REMOVED_TEXT - 1)
                 : state_put_done(&line, index);
  uint64_t seq = made ? message_tell(s, m, 'R', line.s, line.len) : 0;
  stralloc_free(&line);
  if (seq) m->seq = seq;
  return seq != 0;
}

int removal_takes(struct send *s, struct msg *m, uint32_t index, char const *addr, size_t len)
{
  struct removal *r = &s->removal;
  if (!m->doomed || !r->on || !idset_has(&r->pending, m->q.id) ||
      !selector_message(&r->sel, m->q.id, m->sender.s, m->sender.len) ||
      !selector_rcpt(&r->sel, addr, len))
    return 0;
  if (!tell(s, m, index)) return -1;
  r->messages += !m->removed;
  r->rcpts++;
  m->removed = 1;
  m->finished++;
  m->failed += r->bounce != 0;
  log_removed(m, addr, len, r->bounce);
  return 1;
}

void removal_loaded(struct send *s, struct msg const *m)
{
  if (m->doomed && !m->more && !m->trouble) idset_remove(&s->removal.pending, m->q.id);
}

int removal_left(struct send *s, struct msg const *m, int again)
{
  struct idset *pending = &s->removal.pending;
  if (!again) idset_remove(pending, m->q.id);
  return again && !m->doomed && idset_has(pending, m->q.id);
}
