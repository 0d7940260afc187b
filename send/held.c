/* held.c - recipients that are held or removed, where the scheduler meets them; see command.h */

#include <stdlib.h>

#include "command.h"
#include "send.h"

static int waits_and_is_held(void *data, struct rcpt const *r)
{
  struct send const *s = data;
  struct msg const *m = r->msg;
  return holds_rcpt(&s->holds, m->q.id, m->sender.s, m->sender.len, r->addr, r->addrlen);
}

void hold_sweep(struct send *s)
{
  for (struct rcpt *r = dests_sweep(&s->dests, waits_and_is_held, s), *next; r; r = next) {
    next = r->next;
    message_put_off(r->msg, WAIT_NEVER);
    message_without(s, r);
  }
}

int command_takes(struct send *s, struct msg *m, uint32_t index, char const *addr, size_t len)
{
  static stralloc sa = STRALLOC_ZERO;
  if (!m->doomed && !s->holds.count) return 0;
  sa.len = 0;
  if (rewrite_address(&s->routes, addr, len, &sa) == -1) return -1;
  int removed = removal_takes(s, m, index, sa.s, sa.len);
  if (removed) return removed;
  if (!holds_rcpt(&s->holds, m->q.id, m->sender.s, m->sender.len, sa.s, sa.len)) return 0;
  message_put_off(m, WAIT_NEVER);
  return 1;
}
