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
  uint32_t age;
  uint16_t attempts;
  uint8_t tried;
  uint8_t warned;
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

/* Put the recipient into memory. NULL: ENOMEM. */
static struct rcpt *put_rcpt(struct send *s, struct msg *m, struct draft *d, struct dest *t)
{
  struct rcpt *r = make_rcpt(m, d);
  if (!r) return 0;
  r->loaded_at = clock_ms();
  r->age = d->age;
  r->attempts = d->attempts;
  r->tried = d->tried;
  r->warned = d->warned;
  if (t && !dests_add(&s->dests, t, m->lane, r)) {
    free(r);
    return 0;
  }
  m->loaded++;
  s->loaded++;
  return r;
}

/* It waits for a dead next hop, and is too old: the last failure there counts for it. */
static int expire(struct send *s, struct msg *m, struct draft *d, struct group *g)
{
  struct rcpt *r = put_rcpt(s, m, d, 0);
  char const *text = g->last ? g->last : "";
  if (!r) return 0;
  if (g->health.probes > r->attempts)
    r->attempts = g->health.probes < UINT16_MAX ? (uint16_t)g->health.probes : UINT16_MAX;
  r->delivery = ++s->deliveries;
  log_start(m, group_channel(g), r);
  result_take(s, group_channel(g), r, 'Z', text, strlen(text), g);
  return 1;
}

/* What was done for it already goes with its job. 1, or 0 with ENOMEM. */
static int add_sofar(struct draft *d, struct msg const *m, struct state_rcpt const *st)
{
  char const *text = st ? state_sofar(&m->state, st) : 0;
  return !text || (stralloc_cats(&d->extras, JOB_SOFAR_NAME "=") &&
                   stralloc_catb(&d->extras, text, strlen(text) + 1));
}

/* A line of senderroutes or smtproutes may make mail for others that of this host. The channel, or -1
 * with ENOMEM. */
static int divert(struct send *s, stralloc *addr, char const *sender)
{
  stralloc local = STRALLOC_ZERO;
  char const *prefix = dests_local(&s->dests, addr->s, addr->len, sender);
  if (!prefix) return CHANNEL_REMOTE;
  int ok = !*prefix || (stralloc_cats(&local, prefix) && stralloc_append(&local, '-') &&
                        stralloc_cat(&local, addr) && stralloc_copy(addr, &local));
  stralloc_free(&local);
  return ok ? CHANNEL_LOCAL : -1;
}

/* Rewrite the recipient, and expand its sender: into <d>. Its destination, or NULL with ENOMEM. */
static struct dest *find_dest(struct send *s, struct msg *m, struct draft *d, char const *addr,
                              size_t len, int *channel)
{
  d->addr.len = d->sender.len = 0;
  *channel = rewrite_address(&s->routes, addr, len, &d->addr);
  if (verp_is(m->sender.s, m->sender.len) &&
      !verp_sender(&d->sender, m->sender.s, m->sender.len, addr, len))
    return 0;
  char const *sender = d->sender.len ? d->sender.s : m->sender.s;
  if (*channel == CHANNEL_REMOTE) *channel = divert(s, &d->addr, sender);
  if (*channel == -1) return 0;
  return dests_find(&s->dests, (enum channel)*channel, d->addr.s, d->addr.len, sender);
}

/* The recipient addr[0..len) goes to its destination, or waits for its next hop. 1, or 0 with
 * ENOMEM. */
static int add(struct send *s, struct msg *m, struct draft *d, struct state_rcpt const *st,
               char const *addr, size_t len, int64_t now)
{
  int channel;
  struct dest *t = find_dest(s, m, d, addr, len, &channel);
  if (!t) return 0;
  uint32_t lifetime = settings_lifetime(&s->settings, d->addr.s, d->addr.len);
  d->tried = st && st->when;
  d->attempts = d->tried ? st->attempts : 0;
  d->warned = st && st->warned;
  d->age = d->tried ? nexthop_age(m, lifetime, st->age, st->when, now)
                    : nexthop_age(m, lifetime, 0, (int64_t)(m->q.birth / 1000000), now);
  enum way way = nexthop_way(s, m, t->group, d->age, lifetime, d->attempts);
  if (way == WAY_PARK) {
    nexthop_rcpt(m, t->group, d->age, lifetime);
    return 1;
  }
  m->open = 1;
  if (m->dry) return 1;
  if (way == WAY_EXPIRE) return expire(s, m, d, t->group);
  if (!m->stream) m->stream = t->group;
  if (channel == CHANNEL_LOCAL && !add_sofar(d, m, st)) return 0;
  if (!put_rcpt(s, m, d, t)) return 0;
  if (way == WAY_PROBE) t->group->probing = 1;
  if (way == WAY_PROBE) m->probe = 0;
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

/* However many messages have more recipients than fit, some room is left for others. */
uint32_t load_room(struct send const *s)
{
  size_t part = (s->loaded < LOADED_MAX ? LOADED_MAX - s->loaded : 0) / PORTION_PART;
  return part > PORTION ? PORTION : part < PORTION_MIN ? PORTION_MIN : (uint32_t)part;
}

/* Read on, as far as there is room. 1 more is left, 0 that was all, -1 with errno. */
static int load_portion(struct send *s, struct msg *m, struct records *e, struct draft *d)
{
  char letter;
  char const *t;
  size_t len;
  uint32_t room = load_room(s);
  while (m->loaded < room && (s->loaded < LOADED_MAX || m->doomed) && !(m->dry && m->open)) {
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

/* 1, 0, -1 as load_portion. */
static int read_more(struct send *s, struct msg *m)
{
  struct records e;
  struct draft d = { .addr = STRALLOC_ZERO, .sender = STRALLOC_ZERO, .extras = STRALLOC_ZERO };
  int fd = message_open(s, m);
  int r = -1;
  if (fd != -1) {
    records_open(&e, fd, &m->q, m->envelope);
    r = load_portion(s, m, &e, &d);
    int error = errno;
    close(fd);
    errno = error;
  }
  int error = errno;
  stralloc_free(&d.addr);
  stralloc_free(&d.sender);
  stralloc_free(&d.extras);
  errno = error;
  return r;
}

static void note_new(struct msg *m)
{
  if (!m->sender.s) return;
  if (!m->seen && m->lane == LANE_NEW) log_new(m);
  m->seen = 1;
}

static void load(struct send *s, struct msg *m)
{
  int r = read_more(s, m);
  if (r == -1) load_trouble(s, m);
  else m->more = r;
  removal_loaded(s, m);
  note_new(m);
}

/* As if nothing had been read. */
static void rewind_message(struct send *s, struct msg *m)
{
  m->sender.len = m->extras.len = 0;
  stralloc_free(&m->sender);
  m->envelope = m->hop_expires = m->due = 0;
  m->index = m->finished = m->again = m->hopping = 0;
  m->open = m->hop_several = m->hop_dead = 0;
  if (m->hop) group_unref(&s->dests.groups, m->hop);
  m->hop = 0;
}

int load_dry(struct send *s, struct msg *m)
{
  m->dry = 1;
  int r = read_more(s, m);
  m->dry = 0;
  if (r == 0 && m->hopping && !m->open) {
    note_new(m);
    return 0;
  }
  rewind_message(s, m);
  return 1;
}

void load_hungry(struct send *s)
{
  while (s->hungry && (s->loaded < LOADED_MAX || s->hungry->doomed)) {
    struct msg *m = s->hungry;
    s->hungry = m->hungry_next;
    if (!m->recalled) load(s, m);
    m->hungry = 0;
    message_progress(s, m);
  }
}
