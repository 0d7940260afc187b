/* command.c - control of send while it runs: the commands, one after the other; see command.h */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "command_peer.h"
#include "send.h"
#include "walk.h"

struct commands {
  struct peers peers;
  uint64_t orders;    /* given so far */
  struct peer *first; /* whose command is at work, or NULL */
  struct walk *walk;  /* what it looks through */
  struct idset found; /* those that wait, till they are picked */
};

int command_init(struct send *s, int group, char const **why)
{
  *why = "out of memory";
  s->commands = calloc(1, sizeof *s->commands);
  if (!s->commands) return 0;
  *why = "unable to read queue/" HOLDS_NAME
         ", which says what is held; mend: remove it, and hold again";
  if (!holds_read(&s->holds, s->queuefd)) return 0;
  *why = "unable to listen on " SENDWIRE_SOCKET;
  return peers_listen(&s->commands->peers, group);
}

void command_close(struct send *s)
{
  struct peers *ps = &s->commands->peers;
  close(ps->fd);
  for (size_t i = 0; i < COMMAND_PEERS; i++)
    if (ps->all[i].fd != -1) close(ps->all[i].fd);
}

static int removes(struct peer const *p)
{
  return p->command == SENDWIRE_REMOVE || p->command == SENDWIRE_BOUNCE;
}

static void succeed(struct peer *p)
{
  struct sendwire_answer const a = { .type = 'K', .changed = p->changed, .messages = p->messages,
                                     .rcpts = p->rcpts };
  peer_answer(p, &a);
}

/* --- what is held --- */

static void list(struct send const *s, struct peer *p)
{
  struct sendwire_answer a = { .type = 'L' };
  p->deadline = clock_ms() + COMMAND_SECONDS * 1000; /* it takes what it is told */
  for (; p->listed < s->holds.count; p->listed++) {
    a.held = s->holds.items[p->listed];
    if (!peer_answer(p, &a)) return;
  }
  succeed(p);
}

/* Have the keeper write the change of what is held. */
static void tell_keeper(struct send *s, struct peer *p, char sign)
{
  char data[2 + SELECTOR_MAX] = { sign, p->sel.kind };
  memcpy(data + 2, p->sel.value, p->sel.len);
  p->seq = keeper_say(&s->keeper, 'H', 0, 0, 0, data, 2 + p->sel.len);
  p->step = STEP_KEEPER;
  if (!p->seq) peer_refuse(p, 'Z', "out of memory");
}

static void hold(struct send *s, struct peer *p)
{
  int r = holds_add(&s->holds, &p->sel);
  if (r == -1) {
    peer_refuse(p, 'Z',
                errno == ENOSPC ? "too much is held already: release something" : "out of memory");
    return;
  }
  p->changed = r;
  hold_sweep(s);
  tell_keeper(s, p, '+');
}

static void release(struct send *s, struct peer *p)
{
  p->changed = holds_remove(&s->holds, &p->sel);
  tell_keeper(s, p, '-');
}

/* --- what waits --- */

static void queue_up(struct commands *c, struct peer *p)
{
  p->step = STEP_QUEUED;
  p->order = ++c->orders;
  p->seq = 0;
}

/* The change of what is held is on disk: make due what it frees. */
static void go_on(struct send *s, struct peer *p)
{
  if (p->command != SENDWIRE_RELEASE || !p->changed) succeed(p);
  else if (p->sel.kind != SELECTOR_ALL) queue_up(s->commands, p);
  else {
    p->messages = message_hurry(s, 1);
    succeed(p);
  }
}

/* It could not be written. What is held in memory stays held: nobody expects that it goes out. */
static void hold_failed(struct send *s, struct peer *p, int error)
{
  char text[SENDWIRE_TEXT + 1];
  if (p->command == SENDWIRE_RELEASE && p->changed) holds_add(&s->holds, &p->sel);
  snprintf(text, sizeof text, "unable to write queue/" HOLDS_NAME " (%s): %s", strerror(error),
           p->command == SENDWIRE_HOLD ? "held only until pipit-send is restarted" : "still held");
  peer_refuse(p, 'Z', text);
}

void command_told(struct send *s, struct keeper_reply const *r)
{
  struct peers *ps = &s->commands->peers;
  for (size_t i = 0; i < COMMAND_PEERS; i++) {
    struct peer *p = ps->all + i;
    if (p->step != STEP_KEEPER || p->seq != r->num) continue;
    if (r->id) hold_failed(s, p, (int)r->id);
    else go_on(s, p);
  }
}

static void execute(struct send *s, struct peer *p)
{
  switch (p->command) {
  case SENDWIRE_LIST: p->step = STEP_LISTING; list(s, p); break;
  case SENDWIRE_HOLD: hold(s, p); break;
  case SENDWIRE_RELEASE: release(s, p); break;
  case SENDWIRE_TRY:
    if (p->sel.kind == SELECTOR_ALL) {
      p->messages = message_hurry(s, 0);
      succeed(p);
      break;
    }
    queue_up(s->commands, p);
    break;
  default: queue_up(s->commands, p);
  }
}

/* --- the walk --- */

static void begin(struct send *s, struct peer *p)
{
  struct commands *c = s->commands;
  c->walk = walk_begin(&p->sel, removes(p));
  if (!c->walk) {
    peer_refuse(p, 'Z', "out of memory");
    return;
  }
  if (removes(p)) removal_begin(s, &p->sel, p->command == SENDWIRE_BOUNCE);
  c->first = p;
  p->step = STEP_WALKING;
}

/* A message was found. What waits is picked later, many at a time. */
static void take(struct send *s, struct peer *p, uint64_t id, uint64_t place)
{
  struct commands *c = s->commands;
  struct msg *m = message_find(s, id);
  if (removes(p)) removal_add(s, id);
  else p->messages++;
  if (m && !removes(p)) message_again(m);
  if (m) return;
  if (!idset_has(&s->known, id)) message_new(s, id, place, place ? 0 : WAIT_CHECK);
  idset_add(&c->found, id);
}

static void pick(struct send *s, struct peer const *p)
{
  struct idset *found = &s->commands->found;
  if (removes(p)) removal_recall(s);
  if (!found->count) return;
  message_pick(s, found, removes(p));
  free(found->slots);
  *found = (struct idset)IDSET_ZERO;
}

static int is_full(struct send const *s)
{
  return s->removal.pending.count >= COMMAND_REMOVING ||
         keeper_backlog(&s->keeper) >= KEEPER_BACKLOG_MAX;
}

/* One slice. 1, or 0 when all has been looked at. */
static int walk_on(struct send *s, struct peer *p)
{
  struct commands *c = s->commands;
  enum walked r = WALK_MORE;
  uint64_t id, place;
  walk_slice(c->walk);
  while (!is_full(s) && (r = walk_next(c->walk, s, &id, &place)) == WALK_FOUND)
    take(s, p, id, place);
  if (r == WALK_END || is_full(s) || c->found.count >= COMMAND_PICK) pick(s, p);
  return r != WALK_END;
}

static void end_walk(struct send *s, struct peer *p)
{
  struct commands *c = s->commands;
  unsigned int trouble = walk_trouble(c->walk);
  walk_free(c->walk);
  c->walk = 0;
  c->first = 0;
  if (!trouble) succeed(p);
  else peer_refuse(p, 'Z', "some files of the queue could not be read: the log names them");
}

/* Have the keeper put on disk what it knows. */
static void sync_all(struct send *s, struct peer *p, enum step step)
{
  p->seq = keeper_say(&s->keeper, 'Q', 0, 0, 0, "", 0);
  if (p->seq) p->step = step;
}

static void end_removal(struct send *s, struct peer *p)
{
  p->messages = s->removal.messages;
  p->rcpts = s->removal.rcpts;
  if (s->removal.pending.count) return;
  sync_all(s, p, STEP_SYNCING);
  if (p->step == STEP_SYNCING) removal_end(s);
}

/* Everything was found; a message that is just being written down leaves memory all the sooner. */
static void end_search(struct send *s, struct peer *p)
{
  if (removes(p)) sync_all(s, p, STEP_REMOVING);
  else p->step = STEP_SYNCING;
}

static void work(struct send *s, struct peer *p)
{
  switch (p->step) {
  case STEP_WALKING:
    if (!walk_on(s, p)) end_search(s, p);
    break;
  case STEP_REMOVING: end_removal(s, p); break;
  case STEP_SYNCING:
    if (p->seq <= s->keeper.covered) end_walk(s, p);
    break;
  default: break;
  }
}

static void begin_next(struct send *s)
{
  struct commands *c = s->commands;
  struct peer *next = 0;
  for (size_t i = 0; i < COMMAND_PEERS; i++) {
    struct peer *p = c->peers.all + i;
    if (p->step == STEP_QUEUED && (!next || p->order < next->order)) next = p;
  }
  if (next) begin(s, next);
}

/* --- the loop --- */

static void tell(struct peer *p, uint64_t now)
{
  struct sendwire_answer const a = { .type = 'P', .messages = p->messages };
  if (p->step <= STEP_LISTING && p->step != STEP_FREE && now >= p->deadline) peer_lost(p);
  if (p->step < STEP_KEEPER || p->fd == -1 || now < p->tell_at) return;
  peer_answer(p, &a);
  p->tell_at = now + COMMAND_TELL;
}

void command_turn(struct send *s)
{
  struct commands *c = s->commands;
  uint64_t now = clock_ms();
  for (size_t i = 0; i < COMMAND_PEERS; i++) tell(c->peers.all + i, now);
  if (!scan_allowed(s)) return;
  if (!c->first) begin_next(s);
  if (c->first) work(s, c->first);
}

/* Can the command that is at work go on at once? */
static int has_work(struct send const *s, struct peer const *p)
{
  switch (p->step) {
  case STEP_QUEUED: return !s->commands->first && scan_allowed(s);
  case STEP_WALKING: return !is_full(s);
  case STEP_REMOVING: return !s->removal.pending.count;
  case STEP_SYNCING: return p->seq <= s->keeper.covered;
  default: return 0;
  }
}

uint64_t command_wait(struct send const *s)
{
  uint64_t wait = UINT64_MAX;
  for (size_t i = 0; i < COMMAND_PEERS; i++) {
    struct peer const *p = s->commands->peers.all + i;
    if (p->step != STEP_FREE) wait = COMMAND_TELL;
    if (has_work(s, p)) return 0;
  }
  return wait;
}

void command_poll(struct send const *s, struct pollfd *p)
{
  struct peers const *ps = &s->commands->peers;
  p[0] = (struct pollfd){ s->stopping ? -1 : ps->fd, POLLIN, 0 };
  for (size_t i = 0; i < COMMAND_PEERS; i++) {
    struct peer const *peer = ps->all + i;
    short events = peer->step == STEP_ASKING ? POLLIN : peer->step == STEP_LISTING ? POLLOUT : 0;
    p[i + 1] = (struct pollfd){ peer->step == STEP_FREE ? -1 : peer->fd, events, 0 };
  }
}

void command_obey(struct send *s, struct pollfd const *p)
{
  struct peers *ps = &s->commands->peers;
  for (size_t i = 0; i < COMMAND_PEERS; i++) {
    struct peer *peer = ps->all + i;
    if (!p[i + 1].revents || peer->step == STEP_FREE || p[i + 1].fd != peer->fd) continue;
    if (peer->step == STEP_ASKING) {
      if (peer_read(peer)) execute(s, peer);
    } else if (p[i + 1].revents & (POLLHUP | POLLERR)) peer_lost(peer);
    else if (peer->step == STEP_LISTING) list(s, peer);
  }
  if (p[0].revents) peers_accept(ps);
}
