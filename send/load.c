/* load.c - read a message's envelope, in portions, and put its recipients to their destinations */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "records.h"
#include "log.h"
#include "retry.h"
#include "send.h"

/* What is being built for one recipient. */
struct draft {
  stralloc addr, sender, extras;
  enum channel channel;
};

static int starts(char const *s, size_t len, char const *prefix)
{
  size_t n = strlen(prefix);
  return len >= n && !memcmp(s, prefix, n);
}

/* Records before the first recipient concern the message, but for those that never do. */
static int is_message_extra(struct msg const *m, char const *s, size_t len)
{
  return !m->index && !starts(s, len, "NOTIFY=") && !starts(s, len, "ORCPT=");
}

static struct rcpt *make_rcpt(struct msg *m, struct draft const *d)
{
  struct rcpt *r = malloc(sizeof *r + d->addr.len + 1 + d->sender.len + d->extras.len);
  if (!r) return 0;
  memset(r, 0, sizeof *r);
  r->msg = m;
  r->index = m->index;
  r->addrlen = d->addr.len;
  r->extraslen = d->extras.len;
  char *p = r->text;
  r->addr = p;
  memcpy(p, d->addr.s, d->addr.len);
  p += d->addr.len;
  *p++ = 0;
  r->sender = d->sender.len ? p : 0;
  if (d->sender.len) memcpy(p, d->sender.s, d->sender.len);
  p += d->sender.len;
  r->extras = p;
  if (d->extras.len) memcpy(p, d->extras.s, d->extras.len);
  return r;
}

/* Seconds until this recipient may be tried; 0: now. */
static uint32_t rest(struct msg const *m, struct state_rcpt const *st, int64_t now)
{
  if (m->force || !st || !st->when) return 0;
  int64_t passed = now - (int64_t)st->when;
  if (passed < 0) passed = 0;
  return passed < st->wait ? st->wait - (uint32_t)passed : 0;
}

/* The recipient addr[0..len) goes to its destination. 1, or 0 with ENOMEM. */
static int add(struct send *s, struct msg *m, struct draft *d, struct state_rcpt const *st,
               char const *addr, size_t len, int64_t now)
{
  d->addr.len = d->sender.len = 0;
  int channel = route_rewrite(&s->routes, addr, len, &d->addr);
  if (channel == -1) return 0;
  if (verp_is(m->sender.s, m->sender.len) &&
      !verp_sender(&d->sender, m->sender.s, m->sender.len, addr, len))
    return 0;
  struct rcpt *r = make_rcpt(m, d);
  if (!r) return 0;
  int tried = st && st->when;
  r->loaded_at = clock_ms();
  r->age = tried ? retry_age(st->age, st->when, now)
                 : retry_age(0, (int64_t)(m->q.birth / 1000000), now);
  r->attempts = tried ? st->attempts : 0;
  r->warned = st && st->warned;
  if (!dests_add(&s->dests, (enum channel)channel, m->lane, r)) {
    free(r);
    return 0;
  }
  m->loaded++;
  s->loaded++;
  return 1;
}

static int take_rcpt(struct send *s, struct msg *m, struct draft *d, char const *addr, size_t len)
{
  struct state_rcpt const *st = m->state.rcpts && m->index < m->state.count
                                    ? m->state.rcpts + m->index
                                    : 0;
  int64_t now = clock_wall();
  uint32_t wait = rest(m, st, now);
  int finished = st && st->fate != STATE_OPEN;
  int taken = finished ? 0 : command_takes(s, m, m->index, addr, len);
  if (taken == -1) return 0;
  if (finished) {
    m->finished++;
  } else if (taken) { /* removed, or held */
  } else if (wait || m->doomed) {
    message_put_off(m, clock_ms() + (uint64_t)wait * 1000);
  } else if (!add(s, m, d, st, addr, len, now)) {
    return 0;
  }
  m->index++;
  d->extras.len = 0;
  return 1;
}

/* One record of the envelope. 1, or 0 with errno. */
static int take_record(struct send *s, struct msg *m, struct draft *d, char letter, char const *t,
                       size_t len)
{
  if (letter == 'F') {
    if (m->sender.s) return (errno = EPROTO, 0);
    if (!stralloc_copyb(&m->sender, t, len) || !stralloc_0(&m->sender)) return 0;
    m->sender.len--;
    return 1;
  }
  if (!m->sender.s) return (errno = EPROTO, 0);
  if (letter == 'T') return take_rcpt(s, m, d, t, len);
  if (!len) return 1;
  stralloc *to = is_message_extra(m, t, len) ? &m->extras : &d->extras;
  return stralloc_catb(to, t, len + 1);
}

/* Read on, as far as there is room. 1 more is left, 0 that was all, -1 with errno. */
static int load_portion(struct send *s, struct msg *m, struct records *e, struct draft *d)
{
  char letter;
  char const *t;
  size_t len;
  while (m->loaded < PORTION && (s->loaded < LOADED_MAX || m->doomed)) {
    int r = records_next(e, &letter, &t, &len);
    if (r != 1) return r;
    if (!take_record(s, m, d, letter, t, len)) return -1;
    if (letter != 'X') m->envelope = e->next;
  }
  return 1;
}

static void load_trouble(struct send *s, struct msg *m)
{
  log_trouble("trouble reading message", m->q.id);
  if (errno == EPROTO) message_tell(s, m, 'D', "", 0);
  m->trouble = 1;
  message_put_off(m, clock_ms() + TROUBLE_WAIT);
}

static void load(struct send *s, struct msg *m)
{
  struct records e;
  struct draft d = { .addr = STRALLOC_ZERO, .sender = STRALLOC_ZERO, .extras = STRALLOC_ZERO };
  int first = !m->envelope;
  int fd = message_open(s, m);
  int r = -1;
  if (fd != -1) {
    records_open(&e, fd, &m->q, m->envelope);
    r = load_portion(s, m, &e, &d);
    int error = errno;
    close(fd);
    errno = error;
  }
  if (r == -1) load_trouble(s, m);
  else m->more = r;
  removal_loaded(s, m);
  if (first && m->sender.s && m->lane == LANE_NEW && !m->told) log_new(m);
  m->told |= m->sender.s != 0;
  stralloc_free(&d.addr);
  stralloc_free(&d.sender);
  stralloc_free(&d.extras);
}

void load_hungry(struct send *s)
{
  while (s->hungry && (s->loaded < LOADED_MAX || s->hungry->doomed)) {
    struct msg *m = s->hungry;
    s->hungry = m->hungry_next;
    m->hungry = 0;
    if (!m->recalled) load(s, m);
    message_progress(s, m);
  }
}
