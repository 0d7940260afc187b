/* deliver.c - give jobs to the spawners, and read what they report; see send.h
 *
 * A job's number is its slot and a turn, so that a report for a job that is
 * over names no other one.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "compose.h"
#include "feeder.h"
#include "log.h"
#include "send.h"

#define SLOT_BITS   12 /* CONCURRENCY_MAX fits */
#define SLOT_MASK   ((1u << SLOT_BITS) - 1)
#define NAP_MS      10    /* when the kernel has no memory for a job */
#define READ_BATCH  256   /* packets of a spawner before others have their turn */

_Static_assert(CONCURRENCY_MAX <= 1 << SLOT_BITS, "a slot's number must fit");

static char const open_trouble[] = "Unable to open the message in the queue. (#4.3.0)\n";
static char const pipe_trouble[] = "Unable to make a pipe for the message. (#4.3.0)\n";
static char const too_large[] = "This envelope is too large for one delivery. (#4.3.0)\n";

static uint32_t max_lines(struct send const *s, struct spawner const *p)
{
  uint32_t max = s->settings.concurrency[p->channel];
  return max < p->hello ? max : p->hello;
}

static int can_send(struct spawner const *p)
{
  return !p->blocked && !p->stalled && p->inflight < CONCURRENCY_MAX;
}

/* May another job be started at all? */
static int may_start(struct send const *s)
{
  return !s->stopping && !s->lost && s->finishing < FINISHING_MAX &&
         keeper_backlog(&s->keeper) < KEEPER_BACKLOG_MAX;
}

/* Each next hop that has all connections that it may have now gives jobs to them ahead. What waits
 * for a connection keeps it until it is done: so only where that does not take long, and nothing
 * limits the rate. */
static int may_wait(struct send *s, struct spawner const *p, struct dest const *t)
{
  struct groups *gs = &s->dests.groups;
  struct group *g = t->group;
  if (t->took > AHEAD_TIME || t->inflight - t->lines >= (uint64_t)t->lines * p->ahead) return 0;
  if (g->health.dead || g->limits.rate) return 0;
  return p->lines >= max_lines(s, p) || !group_may_start(gs, g, clock_ms()) ||
         group_has_enough(gs, g, max_lines(s, p));
}

static uint32_t free_slot(struct spawner const *p)
{
  uint32_t i = 0;
  while (p->slots[i]) i++;
  return i;
}

/* Read a small message of a local job into <body>. 1, or 0 with errno. */
static int read_body(struct job *j, char body[JOB_BODY_MAX])
{
  ssize_t n = pread(j->fd, body, (size_t)j->length, (off_t)j->offset);
  if (n != (ssize_t)j->length) return (errno = n == -1 ? errno : EIO, 0);
  j->body = body;
  return 1;
}

/* Put the message file of a local job behind a pipe. 1, 0 not now, -1 with errno. */
static int make_pipe(struct send *s, struct job *j)
{
  int p[2];
  if (s->feeder == -1) return 0;
  if (pipe2(p, O_CLOEXEC) == -1) return -1;
  int r = feeder_feed(s->feeder, j->fd, p[1], j->offset, j->length);
  int e = errno;
  close(p[1]);
  if (r == 1) {
    close(j->fd);
    j->fd = p[0];
    j->offset = 0;
    return 1;
  }
  close(p[0]);
  errno = e;
  return r;
}

/* The job is on its way: its recipients leave the batch. */
static void started(struct send *s, struct spawner *p, struct running *j, struct batch *b,
                    uint32_t n, int waits)
{
  j->msg = b->msg;
  j->line = !waits;
  j->began = clock_ms();
  nexthop_started(s, j, b->dest);
  if (j->line) p->lines++;
  for (j->count = 0; j->count < n; j->count++) {
    struct rcpt *r = batch_take(b);
    j->rcpts[j->count] = r;
    r->delivery = ++s->deliveries;
    log_start(b->msg, p->channel, r);
  }
  p->slots[j->num & SLOT_MASK] = j;
  p->inflight++;
  s->status_due = 1;
  dests_next(&s->dests, b);
}

/* Nothing was tried, by a fault here: the first <n> recipients are put off. */
static void fail(struct send *s, struct spawner *p, struct batch *b, uint32_t n, char const *text)
{
  struct rcpt *first = 0;
  struct rcpt **end = &first;
  struct rcpt *r;
  while (n-- && (r = batch_take(b))) {
    r->next = 0;
    *end = r;
    end = &r->next;
  }
  nexthop_unsent(b->dest->group);
  dests_next(&s->dests, b);
  while ((r = first)) {
    first = r->next;
    r->delivery = ++s->deliveries;
    log_start(r->msg, p->channel, r);
    result_take(s, p->channel, r, 'Z', text, strlen(text), 0);
  }
}

/* User code never gets a descriptor of a queue file. 1, 0 not now, -1 with errno and <*why>. */
static int detach(struct send *s, struct job *j, char body[JOB_BODY_MAX], char const **why)
{
  if (compose_is_small(j)) return read_body(j, body) ? 1 : -1;
  *why = pipe_trouble;
  return make_pipe(s, j);
}

/* Send the job for the first <n> recipients. 1 sent, 0 not now, -1 with <*why>. */
static int send_job(struct send *s, struct spawner *p, struct batch *b, uint32_t n, size_t bytes,
                    uint32_t num, int waits, char const **why)
{
  char body[JOB_BODY_MAX];
  stralloc text = STRALLOC_ZERO;
  struct job j = { .num = num, .waits = waits };
  int r = -1;
  *why = open_trouble;
  j.fd = message_open(s, b->msg);
  if (j.fd == -1) return -1;
  if (!compose_job(&j, b, n, bytes, &text)) goto out;
  r = p->channel == CHANNEL_LOCAL ? detach(s, &j, body, why) : 1;
  p->stalled = !r;
  if (r != 1) goto out;
  *why = too_large;
  r = job_send(p->fd, &j);
  if (r == -1 && errno != EMSGSIZE) {
    if (errno == EPIPE) s->lost = 1;
    else clock_nap(NAP_MS);
    r = 0;
  }
  p->blocked = !r;
out:
  close(j.fd);
  stralloc_free(&text);
  return r;
}

/* 1, or 0 when it was not sent. */
static int start_one(struct send *s, struct spawner *p, struct batch *b, int waits)
{
  size_t bytes;
  uint32_t n = compose_share(b, p->channel, &bytes);
  struct running *j = calloc(1, sizeof *j + n * sizeof *j->rcpts);
  char const *why = open_trouble;
  int r = -1;
  if (j) {
    j->num = (++p->turn << SLOT_BITS) | free_slot(p);
    r = send_job(s, p, b, n, bytes, j->num, waits, &why);
  }
  if (r == 1) {
    started(s, p, j, b, n, waits);
    return 1;
  }
  free(j);
  if (r == -1) fail(s, p, b, n, why);
  return 0;
}

/* Give jobs for <t> to its connections ahead of time. */
static void start_behind(struct send *s, struct spawner *p, struct dest *t)
{
  struct batch *b;
  while (may_start(s) && can_send(p) && (b = dest_batch(t)) && may_wait(s, p, t))
    if (!start_one(s, p, b, 1)) return;
}

void deliver_start(struct send *s)
{
  for (int c = 0; c < CHANNELS; c++) {
    struct spawner *p = s->spawners + c;
    struct batch *b;
    while (may_start(s) && can_send(p) && p->lines < max_lines(s, p) &&
           (b = dests_turn(&s->dests, p->channel, max_lines(s, p), clock_ms()))) {
      struct dest *t = b->dest;
      if (start_one(s, p, b, 0)) start_behind(s, p, t);
    }
  }
}

static struct running *find_job(struct spawner *p, uint32_t num)
{
  uint32_t slot = num & SLOT_MASK;
  struct running *j = slot < CONCURRENCY_MAX ? p->slots[slot] : 0;
  return j && j->num == num ? j : 0;
}

/* The dead next hop that a job's recipients wait for, or NULL: they wait for their times. */
static struct group *dead_group(struct running const *j)
{
  return j->class && j->group->health.dead ? j->group : 0;
}

static void take_tls(struct running *j, struct job_packet const *packet)
{
  memcpy(j->tls, packet->text, packet->textlen);
  j->tls[packet->textlen] = 0;
}

/* Where it goes; how it was sent; why it came to nothing. */
static void take_about(struct send *s, struct spawner *p, struct job_packet const *packet)
{
  struct running *j = find_job(p, packet->num);
  if (!j || p->channel == CHANNEL_LOCAL) log_warning("internal error: delivery report out of range");
  else if (packet->type == 'G') nexthop_joined(s, j, packet->text, packet->textlen);
  else if (packet->type == 'T') take_tls(j, packet);
  else nexthop_failed(s, j, packet->letter, packet->text, packet->textlen);
}

static void take_result(struct send *s, struct spawner *p, struct job_packet const *packet)
{
  struct running *j = find_job(p, packet->num);
  if (!j || packet->index >= j->count || !j->rcpts[packet->index]) {
    log_warning("internal error: delivery report out of range");
    return;
  }
  struct rcpt *r = j->rcpts[packet->index];
  j->rcpts[packet->index] = 0;
  nexthop_count(j, packet->letter);
  s->tls = j->tls;
  result_take(s, p->channel, r, packet->letter, packet->text, packet->textlen, dead_group(j));
  s->tls = 0;
}

/* A note on the result that follows. */
static void take_note(struct send *s, struct spawner *p, struct job_packet const *packet)
{
  struct running *j = find_job(p, packet->num);
  struct rcpt *r = j && packet->index < j->count ? j->rcpts[packet->index] : 0;
  if (r && packet->letter == JOB_SOFAR) result_sofar(s, r, packet->text, packet->textlen);
  else if (r) r->note = packet->letter;
}

/* A job that waits behind others for the same destination, or NULL. */
static struct running *find_behind(struct spawner const *p, struct dest const *t)
{
  if (t->inflight == t->lines) return 0;
  for (uint32_t i = 0; i < CONCURRENCY_MAX; i++)
    if (p->slots[i] && p->slots[i]->dest == t && !p->slots[i]->line) return p->slots[i];
  return 0;
}

/* The job is over; whoever has no result by now has a mangled one. */
static void take_end(struct send *s, struct spawner *p, uint32_t num)
{
  struct running *j = find_job(p, num);
  if (!j) {
    log_warning("internal error: delivery report out of range");
    return;
  }
  p->slots[num & SLOT_MASK] = 0;
  p->inflight--;
  s->status_due = 1;
  for (uint32_t i = 0; i < j->count; i++)
    if (j->rcpts[i]) result_take(s, p->channel, j->rcpts[i], 0, "", 0, dead_group(j));
  struct dest *t = j->dest;
  if (nexthop_ended(s, j, find_behind(p, t))) p->lines--;
  start_behind(s, p, t);
  free(j);
}

int deliver_read(struct send *s, struct spawner *p)
{
  for (int i = 0; i < READ_BATCH; i++) {
    int r = job_recv(p->fd, s->packet);
    if (!r) return 1;
    if (r == -1 && errno != EPROTO) return 0;
    if (r == -1) {
      log_warning("internal error: delivery report is none");
      continue;
    }
    switch (s->packet->type) {
    case 'H': p->hello = s->packet->max; break;
    case 'A': p->ahead = s->packet->max; break;
    case 'N': take_note(s, p, s->packet); break;
    case 'R': take_result(s, p, s->packet); break;
    case 'G':
    case 'T':
    case 'C': take_about(s, p, s->packet); break;
    case 'E': take_end(s, p, s->packet->num); break;
    default:
      if (s->packet->job.fd != -1) close(s->packet->job.fd);
      log_warning("internal error: delivery report is none");
    }
  }
  return 1;
}
