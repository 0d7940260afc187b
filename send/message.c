/* message.c - from an id to recipients in memory, and back; see send.h */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
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

static enum look look_trouble(char const *path, int fd)
{
  log_unable("open", path);
  if (fd != -1) close(fd);
  return LOOK_TROUBLE;
}

enum look message_look(struct send const *s, char const *path, int *fdp, struct qfile *q)
{
  struct stat st;
  int fd = openat(s->queuefd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd == -1)
    return errno == ENOENT ? LOOK_GONE : errno == ELOOP ? LOOK_NOT_MAIL : look_trouble(path, -1);
  if (fstat(fd, &st) == -1) return look_trouble(path, fd);
  int locked = S_ISREG(st.st_mode) && flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK;
  int r = locked || !S_ISREG(st.st_mode) ? 0 : qfile_read(fd, q);
  if (r == -1) return look_trouble(path, fd);
  flock(fd, LOCK_UN);
  if (r == 1 && q->state == QFILE_LIVE) {
    *fdp = fd;
    return LOOK_OK;
  }
  close(fd);
  return locked ? LOOK_LOCKED : LOOK_NOT_MAIL;
}

int message_state(struct send const *s, struct qfile const *q, struct state *st)
{
  char name[QFILE_NAME_MAX];
  qfile_name(name, "state", s->split, q->id);
  int fd = openat(s->queuefd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd == -1) return errno == ENOENT ? 0 : -1;
  if (q->rcpts > q->envlen) {
    close(fd);
    return (errno = EPROTO, -1);
  }
  int r = state_read(st, fd, q->nonce, q->rcpts, s->run);
  int e = errno;
  close(fd);
  errno = e;
  return r;
}

int message_open(struct send *s, struct msg *m)
{
  char name[QFILE_NAME_MAX];
  struct qfile q;
  qfile_place(name, s->split, m->q.id, m->place);
  int fd = openat(s->queuefd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  int r = fd == -1 ? -1 : qfile_read(fd, &q);
  if (r == 1 && q.state == QFILE_LIVE && q.id == m->q.id &&
      !memcmp(q.nonce, m->q.nonce, QFILE_NONCE))
    return fd;
  int e = r == -1 ? errno : ENOENT;
  if (fd != -1) close(fd);
  if (e == ENOENT && m->place) { /* the keeper has moved it meanwhile */
    m->place = 0;
    return message_open(s, m);
  }
  return (errno = e, -1);
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

void message_leave(struct send *s, struct msg *m, uint64_t when)
{
  unlink_message(s, m);
  int doomed = removal_left(s, m, when != 0);
  s->finishing -= m->phase == PHASE_FINISHING;
  unsigned int flags = (m->phase == PHASE_CHECKING ? WAIT_CHECK : 0) | (m->told ? WAIT_TOLD : 0);
  if (when && m->place) move_to_mess(s, m->q.id, m->place);
  if (doomed && waiting_push(&s->doomed, m->q.id, m->place, flags)) {
  } else if (when) message_wait(s, m->q.id, m->place, m->hurry ? 0 : when, flags);
  else idset_remove(&s->known, m->q.id);
  stralloc_free(&m->sender);
  stralloc_free(&m->extras);
  state_free(&m->state);
  free(m);
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
    if (!message_tell(s, m, 'F', m->failed ? "\1" : "", m->failed != 0)) message_unfinished(s, m);
    return;
  }
  m->phase = PHASE_SETTLING;
  if (m->seq <= s->keeper.covered) message_leave(s, m, m->due);
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
    if (m->loaded < PORTION / 2) make_hungry(s, m);
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
  make_hungry(s, m);
}

void message_settled(struct send *s, uint64_t covered)
{
  for (struct msg *m = s->first, *next; m; m = next) {
    next = m->next;
    if (m->phase == PHASE_SETTLING && m->seq <= covered) message_leave(s, m, m->due);
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
  size_t count = s->active;
  for (size_t i = 0; i < s->later.count; i++) {
    if (!held && s->later.entries[i].key >> WAIT_SHIFT >= WAIT_NEVER) continue;
    s->later.entries[i].key &= WAIT_FLAGS;
    count++;
  }
  for (struct msg *m = s->first; m; m = m->next) message_again(m);
  scan_hurry(s);
  return count;
}

void message_pick(struct send *s, struct idset const *ids, int doomed)
{
  if (doomed) {
    waiting_pick(&s->fresh, ids, WAIT_FLAGS, &s->doomed);
    waiting_pick(&s->found, ids, WAIT_FLAGS, &s->doomed);
  }
  waiting_pick(&s->later, ids, WAIT_FLAGS, doomed ? &s->doomed : &s->later);
}

/* Why a message could not be taken in, and when to try again. */
static void put_off(struct send *s, struct waiting_entry e, enum look look, unsigned int flags)
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

static struct msg *new_message(struct send *s, struct qfile const *q, uint64_t place, int force)
{
  struct msg *m = calloc(1, sizeof *m);
  if (!m) return 0;
  m->q = *q;
  m->place = place;
  m->more = 1;
  m->force = force;
  int r = message_state(s, q, &m->state);
  if (r == -1) {
    log_trouble("trouble reading state", q->id);
    free(m);
    return 0;
  }
  m->lane = r ? LANE_AGAIN : LANE_NEW;
  m->failed = m->state.failed;
  link_message(s, m);
  return m;
}

static void admit(struct send *s, struct waiting_entry e, unsigned int flags, int force)
{
  char name[QFILE_NAME_MAX];
  struct qfile q;
  int fd;
  qfile_place(name, s->split, e.id, e.place);
  enum look look = message_look(s, name, &fd, &q);
  if (look == LOOK_OK) close(fd);
  if (look == LOOK_OK && q.id != e.id) look = LOOK_NOT_MAIL;
  if (e.place && (look == LOOK_GONE || look == LOOK_NOT_MAIL)) {
    e.place = 0; /* the keeper has moved it meanwhile */
    return admit(s, e, flags, force);
  }
  unsigned int kept = flags | (force ? WAIT_FORCE : 0);
  if (look != LOOK_OK) {
    put_off(s, e, look, kept);
    return;
  }
  struct msg *m = new_message(s, &q, e.place, force);
  if (!m) {
    put_off(s, e, LOOK_TROUBLE, kept);
    return;
  }
  m->told = (flags & WAIT_TOLD) != 0;
  removal_doom(s, m);
  if (!(flags & WAIT_CHECK)) message_checked(s, m);
  else if (!message_tell(s, m, 'C', "", 0)) message_leave(s, m, clock_ms() + TROUBLE_WAIT);
}

/* A heap whose first message may be taken in now, or NULL. New mail goes first,
 * then what a scan found and nobody tried, then what was tried; but every
 * ADMIT_FAIR-th turn goes the other way round, so that each of them moves. */
static struct waiting *whose_turn(struct send *s, uint64_t now)
{
  int retries = s->later.count && s->later.entries[0].key >> WAIT_SHIFT <= now &&
                s->active_again < ACTIVE_AGAIN;
  struct waiting *order[] = { s->fresh.count ? &s->fresh : 0, s->found.count ? &s->found : 0,
                              retries ? &s->later : 0 };
  int back = s->admitted % ADMIT_FAIR == ADMIT_FAIR - 1;
  for (int i = 0; i < 3; i++)
    if (order[back ? 2 - i : i]) return order[back ? 2 - i : i];
  return 0;
}

void message_admit(struct send *s)
{
  uint64_t now = clock_ms();
  struct waiting *w;
  while (s->doomed.count) {
    struct waiting_entry e = waiting_pop(&s->doomed);
    admit(s, e, (unsigned int)(e.key & WAIT_FLAGS), 0);
  }
  while (s->active < ACTIVE_MAX && s->loaded < LOADED_MAX && (w = whose_turn(s, now))) {
    struct waiting_entry e = waiting_pop(w);
    s->admitted++;
    int force = w == &s->later && (!(e.key >> WAIT_SHIFT) || e.key & WAIT_FORCE);
    admit(s, e, (unsigned int)(e.key & WAIT_FLAGS), force);
  }
}
