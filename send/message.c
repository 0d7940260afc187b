/* message.c - from an id to recipients in memory, and back; see send.h */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "retry.h"
#include "send.h"

struct msg *message_find(struct send *s, uint64_t id)
{
  struct msg *m = s->buckets[id % MESSAGE_BUCKETS];
  while (m && m->q.id != id) m = m->hash_next;
  return m;
}

void message_new(struct send *s, uint64_t id, uint64_t place, unsigned int flags)
{
  struct waiting *w = flags & WAIT_CHECK ? &s->found : &s->fresh;
  if (id && idset_add(&s->known, id) == 1 && !waiting_push(w, id, place, id << WAIT_SHIFT | flags))
    idset_remove(&s->known, id);
}

/* An id that cannot be kept for want of memory is found again by the next scan. */
void message_wait(struct send *s, uint64_t id, uint64_t place, uint64_t when, unsigned int flags)
{
  if (!waiting_push(&s->later, id, place, when << WAIT_SHIFT | flags)) idset_remove(&s->known, id);
}

uint64_t message_tell(struct send *s, struct msg *m, char type, char const *data, size_t len)
{
  uint64_t seq = keeper_say(&s->keeper, type, m->q.id, m->place, m->q.nonce, data, len);
  if (!seq) log_trouble("trouble telling the keeper", m->q.id);
  return seq;
}

static void link_message(struct send *s, struct msg *m)
{
  struct msg **b = s->buckets + m->q.id % MESSAGE_BUCKETS;
  m->hash_next = *b;
  *b = m;
  m->prev = s->last;
  if (s->last) s->last->next = m;
  else s->first = m;
  s->last = m;
  s->active++;
  s->active_again += m->lane == LANE_AGAIN;
}

static void unlink_message(struct send *s, struct msg *m)
{
  struct msg **p = s->buckets + m->q.id % MESSAGE_BUCKETS;
  while (*p != m) p = &(*p)->hash_next;
  *p = m->hash_next;
  if (m->prev) m->prev->next = m->next;
  else s->first = m->next;
  if (m->next) m->next->prev = m->prev;
  else s->last = m->prev;
  s->active--;
  s->active_again -= m->lane == LANE_AGAIN;
}

/* A message that waits is moved to its own name: its file will not be free for long. */
static void move_to_mess(struct send *s, uint64_t id, uint64_t place)
{
  char name[QFILE_NAME_MAX];
  qfile_free_name(name, place);
  keeper_say(&s->keeper, 'V', id, 0, 0, name, strlen(name));
}

static unsigned int flags_of(struct msg const *m)
{
  return (m->phase == PHASE_CHECKING ? WAIT_CHECK : 0) | (m->seen ? WAIT_SEEN : 0);
}

static void free_message(struct send *s, struct msg *m)
{
  unlink_message(s, m);
  s->finishing -= m->phase == PHASE_FINISHING;
  s->checking -= m->checking != 0;
  if (m->hop) group_unref(&s->dests.groups, m->hop);
  stralloc_free(&m->sender);
  stralloc_free(&m->extras);
  state_free(&m->state);
  free(m);
}

void message_leave(struct send *s, struct msg *m, uint64_t when)
{
  int doomed = removal_left(s, m, when != 0);
  if (when && m->place) move_to_mess(s, m->q.id, m->place);
  if (doomed && waiting_push(&s->doomed, m->q.id, m->place, flags_of(m))) {
  } else if (when) message_wait(s, m->q.id, m->place, m->hurry ? 0 : when, flags_of(m));
  else idset_remove(&s->known, m->q.id);
  free_message(s, m);
}

/* A message that waits for a live next hop will not wait long: it may lie where it is. */
void message_pause(struct send *s, struct msg *m)
{
  if (m->hop_several) message_put_off(m, clock_ms() + HOP_AGAIN);
  int timed = m->due && m->due < WAIT_NEVER; /* others are held, which is no reason */
  if (!m->hop || timed || m->hurry) {
    message_leave(s, m, m->due ? m->due : clock_ms());
    return;
  }
  if (m->place && m->hop->health.dead) move_to_mess(s, m->q.id, m->place);
  if (!nexthop_park(s, m, flags_of(m))) idset_remove(&s->known, m->q.id);
  free_message(s, m);
}

void message_unfinished(struct send *s, struct msg *m)
{
  stralloc line = STRALLOC_ZERO;
  uint64_t seq = 0;
  if (m->untold && state_put_done(&line, m->untold - 1))
    seq = message_tell(s, m, 'R', line.s, line.len);
  stralloc_free(&line);
  if (seq) m->seq = seq;
  m->untold = 0;
  m->phase = PHASE_SETTLING;
  m->due = clock_ms() + TROUBLE_WAIT;
  s->finishing--;
  if (m->seq <= s->keeper.covered) message_leave(s, m, m->due);
}

/* Everything that could be done now is done. */
static void settle(struct send *s, struct msg *m)
{
  state_free(&m->state);
  if (!m->more && !m->trouble && m->finished == m->index) {
    m->phase = PHASE_FINISHING;
    s->finishing++;
    int report = m->failed || m->arrived;
    if (!message_tell(s, m, 'F', report ? "\1" : "", (size_t)report)) message_unfinished(s, m);
    return;
  }
  if (m->delayed) message_tell(s, m, 'W', "", 0);
  m->phase = PHASE_SETTLING;
  if (m->seq <= s->keeper.covered) message_pause(s, m);
}

static void make_hungry(struct send *s, struct msg *m)
{
  if (m->hungry) return;
  m->hungry = 1;
  m->hungry_next = m->doomed ? s->hungry : 0;
  if (m->doomed && s->hungry) {
    s->hungry = m;
    return;
  }
  if (s->hungry) s->hungry_last->hungry_next = m;
  else s->hungry = m;
  s->hungry_last = m;
}

void message_progress(struct send *s, struct msg *m)
{
  if (m->phase != PHASE_ACTIVE || m->hungry) return;
  if (m->more && !m->trouble && !m->recalled) {
    if (m->loaded <= load_room(s) / 2) make_hungry(s, m);
  } else if (!m->loaded) {
    settle(s, m);
  }
}

void message_without(struct send *s, struct rcpt *r)
{
  struct msg *m = r->msg;
  free(r);
  m->loaded--;
  s->loaded--;
  message_progress(s, m);
}

void message_checked(struct send *s, struct msg *m)
{
  m->phase = PHASE_ACTIVE;
  s->checking -= m->checking != 0;
  m->checking = 0;
  make_hungry(s, m);
}

void message_settled(struct send *s, uint64_t covered)
{
  for (struct msg *m = s->first, *next; m; m = next) {
    next = m->next;
    if (m->phase == PHASE_SETTLING && m->seq <= covered) message_pause(s, m);
  }
}

void message_again(struct msg *m)
{
  m->force = 1;
  m->hurry = m->again != 0 || m->phase == PHASE_SETTLING;
}

void message_put_off(struct msg *m, uint64_t when)
{
  m->again++;
  if (!m->due || when < m->due) m->due = when;
}

/* The heap's order stays right: what was put off, and what is held, comes after all of these. */
size_t message_hurry(struct send *s, int held)
{
  size_t count = s->active + s->dests.groups.parked;
  for (size_t i = 0; i < s->later.count; i++) {
    if (!held && s->later.entries[i].key >> WAIT_SHIFT >= WAIT_NEVER) continue;
    s->later.entries[i].key &= WAIT_FLAGS;
    count++;
  }
  for (struct msg *m = s->first; m; m = m->next) message_again(m);
  groups_hurry(&s->dests.groups, clock_ms());
  scan_hurry(s);
  return count;
}

void message_pick(struct send *s, struct idset const *ids, int doomed)
{
  if (doomed) {
    waiting_pick(&s->fresh, ids, WAIT_FLAGS, &s->doomed);
    waiting_pick(&s->found, ids, WAIT_FLAGS, &s->doomed);
  }
  groups_pick(&s->dests.groups, ids, clock_ms(), doomed ? &s->doomed : &s->later);
  waiting_pick(&s->later, ids, WAIT_FLAGS, doomed ? &s->doomed : &s->later);
}

/* Why a message could not be taken in, and when to try again. */
static void refuse(struct send *s, struct waiting_entry e, enum look look, unsigned int flags)
{
  char name[QFILE_NAME_MAX];
  if (e.place && look != LOOK_GONE) move_to_mess(s, e.id, e.place);
  switch (look) {
  case LOOK_LOCKED: message_wait(s, e.id, e.place, clock_ms() + LOCKED_WAIT, flags); break;
  case LOOK_TROUBLE: message_wait(s, e.id, e.place, clock_ms() + TROUBLE_WAIT, flags); break;
  default:
    idset_remove(&s->known, e.id);
    if (look == LOOK_GONE || e.place) return;
    qfile_name(name, "mess", s->split, e.id);
    keeper_say(&s->keeper, 'V', e.id, 0, 0, name, strlen(name));
  }
}

static struct msg *new_message(struct send *s, struct qfile const *q, struct waiting_entry e)
{
  struct msg *m = calloc(1, sizeof *m);
  if (!m) return 0;
  m->q = *q;
  m->place = e.place;
  m->more = 1;
  m->force = (e.key & WAIT_FORCE) || (e.key & WAIT_PROBE);
  m->probe = (e.key & WAIT_PROBE) != 0;
  m->seen = (e.key & WAIT_SEEN) != 0;
  int r = message_state(s, q, &m->state);
  if (r == -1) {
    log_trouble("trouble reading state", q->id);
    free(m);
    return 0;
  }
  m->lane = r ? LANE_AGAIN : LANE_NEW;
  m->failed = m->state.failed;
  m->arrived = m->state.arrived;
  m->delayed = m->state.delayed;
  link_message(s, m);
  return m;
}

/* Have the keeper read it through. */
static void check(struct send *s, struct msg *m)
{
  m->checking = 1;
  s->checking++;
  if (!message_tell(s, m, 'C', "", 0)) message_leave(s, m, clock_ms() + TROUBLE_WAIT);
}

/* <expires>: of one that was parked; else 0. */
static void admit(struct send *s, struct waiting_entry e, uint64_t expires)
{
  unsigned int flags = (unsigned int)(e.key & WAIT_FLAGS);
  char name[QFILE_NAME_MAX];
  struct qfile q;
  int fd;
  qfile_place(name, s->split, e.id, e.place);
  enum look look = message_look(s, name, &fd, &q);
  if (look == LOOK_OK) close(fd);
  if (look == LOOK_OK && q.id != e.id) look = LOOK_NOT_MAIL;
  if (e.place && (look == LOOK_GONE || look == LOOK_NOT_MAIL)) {
    e.place = 0; /* the keeper has moved it meanwhile */
    return admit(s, e, expires);
  }
  if (look != LOOK_OK) {
    refuse(s, e, look, flags);
    return;
  }
  struct msg *m = new_message(s, &q, e);
  if (!m) {
    refuse(s, e, LOOK_TROUBLE, flags);
    return;
  }
  m->expires = expires;
  removal_doom(s, m);
  if (!(flags & WAIT_CHECK)) message_checked(s, m);
  else if (!m->doomed && !load_dry(s, m)) message_pause(s, m);
  else check(s, m);
}

enum { FROM_FRESH, FROM_PARKED, FROM_FOUND, FROM_LATER, FROM };

static int has_one(struct send *s, int from, uint64_t now)
{
  switch (from) {
  case FROM_FRESH: return s->fresh.count > 0;
  case FROM_PARKED:
    return s->checking < CHECKING_MAX && group_any(&s->dests.groups, ACTIVE_MAX - s->active, now);
  case FROM_FOUND: return s->checking < CHECKING_MAX && s->found.count > 0;
  }
  return s->later.count && s->later.entries[0].key >> WAIT_SHIFT <= now &&
         s->active_again < ACTIVE_AGAIN;
}

/* Where the next message to be taken in comes from, or FROM: there is none now. New mail goes
 * first, then what has waited for a next hop, then what a scan found and nobody tried, then what
 * was tried; but every ADMIT_FAIR-th turn goes the other way round, so that each of them moves. */
static int whose_turn(struct send *s, uint64_t now)
{
  int back = s->admitted % ADMIT_FAIR == ADMIT_FAIR - 1;
  for (int i = 0; i < FROM; i++) {
    int from = back ? FROM - 1 - i : i;
    if (has_one(s, from, now)) return from;
  }
  return FROM;
}

static void admit_from(struct send *s, int from, uint64_t now)
{
  struct waiting *const heaps[FROM] = { &s->fresh, 0, &s->found, &s->later };
  struct waiting_entry e;
  if (from == FROM_PARKED) {
    if (group_unpark(&s->dests.groups, ACTIVE_MAX - s->active, now, &e))
      admit(s, e, e.key >> WAIT_SHIFT);
    return;
  }
  e = waiting_pop(heaps[from]);
  if (from == FROM_LATER && !(e.key >> WAIT_SHIFT)) e.key |= WAIT_FORCE;
  admit(s, e, 0);
}

/* Each is loaded before the next one is taken in: only then is it known what it adds to. */
void message_admit(struct send *s)
{
  uint64_t now = clock_ms();
  int from;
  s->admit_more = 0;
  while (s->doomed.count) admit(s, waiting_pop(&s->doomed), 0);
  for (int i = 0; s->active < ACTIVE_MAX && s->loaded < LOADED_MAX; i++) {
    if ((from = whose_turn(s, now)) == FROM) return;
    if (i == ADMIT_BATCH) {
      s->admit_more = 1;
      return;
    }
    s->admitted++;
    admit_from(s, from, now);
    load_hungry(s);
  }
}
