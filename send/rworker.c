/* rworker.c - start, feed and end workers; see rworker.h */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/djbunix.h>
#include <skalibs/selfpipe.h>
#include <skalibs/strerr.h>

#include "program.h"
#include "rworker.h"
#include "../remote/limits.h"

static char const crashed[] = "Unable to run pipit-remote, or it crashed. (#4.3.0)\n";
static char const cannot_start[] = "Unable to run pipit-remote. (#4.3.0)\n";

uint32_t rworker_count(struct rspawn const *r)
{
  uint32_t n = 0;
  for (size_t i = 0; i < r->nslots; i++)
    n += r->slots[i].state != RSLOT_FREE && r->slots[i].state != RSLOT_LEAVING;
  return n;
}

/* Close its socket: it says QUIT and exits by itself. */
static void let_go(struct rslot *s)
{
  close(s->fd);
  close(s->peer);
  s->fd = s->peer = -1;
  s->state = s->pid ? RSLOT_LEAVING : RSLOT_FREE;
}

static void kill_worker(struct rslot *s)
{
  if (s->pid) kill(s->pid, SIGKILL);
  let_go(s);
}

int rworker_make_room(struct rspawn *r)
{
  struct rslot *oldest = 0;
  for (size_t i = 0; i < r->nslots; i++) {
    struct rslot *s = r->slots + i;
    if (s->state == RSLOT_IDLE && (!oldest || tain_less(&s->until, &oldest->until))) oldest = s;
  }
  if (oldest) let_go(oldest);
  return oldest != 0;
}

static struct rslot *find_free(struct rspawn *r)
{
  for (size_t i = 0; i < r->nslots; i++)
    if (r->slots[i].state == RSLOT_FREE) return r->slots + i;
  return r->nslots < r->room ? r->slots + r->nslots++ : 0;
}

struct rslot *rworker_free_slot(struct rspawn *r)
{
  struct rslot *s = find_free(r);
  if (s) return s;
  for (size_t i = 0; i < r->nslots; i++) {
    s = r->slots + i;
    if (s->state != RSLOT_LEAVING) continue;
    if (s->pid) {
      kill(s->pid, SIGKILL);
      wait_pid(s->pid, &s->status);
      s->pid = 0;
    }
    s->state = RSLOT_FREE;
  }
  return find_free(r);
}

static void run_worker(struct rspawn const *r, int sock)
{
  char const *argv[3] = { "pipit-remote", "-w", 0 };
  selfpipe_finish();
  if (dup2(sock, 0) != -1) execv(r->worker, (char *const *)argv);
  strerr_warnwu2sys("run ", r->worker);
  _exit(EXIT_TEMPORARY);
}

/* A new worker in a free slot. NULL with errno. */
static struct rslot *start(struct rspawn *r)
{
  int sock[2];
  struct rslot *s = rworker_free_slot(r);
  if (!s) return (errno = EAGAIN, (struct rslot *)0);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) == -1) return 0;
  pid_t pid = fork();
  if (!pid) run_worker(r, sock[1]);
  if (pid == -1) {
    int e = errno;
    close(sock[0]);
    close(sock[1]);
    return (errno = e, (struct rslot *)0);
  }
  s->pid = pid;
  s->fd = sock[0];
  s->peer = sock[1];
  s->njobs = 0;
  s->proven = 0;
  s->nexthop.len = 0;
  s->state = RSLOT_IDLE;
  return s;
}

/* Does the worker's connection lead to <name>? */
static int leads_to(struct rslot const *s, char const *name)
{
  return *name && s->nexthop.len && !strcmp(s->nexthop.s, name);
}

/* Was its connection made for the same host and line? */
static int is_alike(struct rslot const *s, char const *host, char const *via)
{
  return !strcasecmp(s->host.s, host) && !strcmp(s->via.s, via);
}

/* Was it for such jobs? Where they have gone elsewhere since, send says so. */
static int is_for(struct rslot const *s, struct job const *j)
{
  char const *nexthop = job_text(j, JOB_NEXTHOP);
  return is_alike(s, j->host, job_text(j, JOB_VIA)) &&
         (!*nexthop || s->nexthop.len < 2 || !strcmp(s->nexthop.s, nexthop));
}

/* Of the idle workers for the job's host, or for what that leads to, the one that was busy last. */
static struct rslot *find_idle(struct rspawn *r, struct job const *j)
{
  char const *nexthop = job_text(j, JOB_NEXTHOP);
  struct rslot *best = 0;
  for (size_t i = 0; i < r->nslots; i++) {
    struct rslot *s = r->slots + i;
    if (s->state != RSLOT_IDLE) continue;
    if (!is_for(s, j) && !leads_to(s, nexthop)) continue;
    if (!best || tain_less(&best->until, &s->until)) best = s;
  }
  return best;
}

/* Is it better to wait for <a> than for <b>? Where fewer wait already, and else where the present
 * job has begun later: not where one is stuck, if that can be helped. */
static int is_better(struct rslot const *a, struct rslot const *b)
{
  return a->njobs != b->njobs ? a->njobs < b->njobs : tain_less(&b->since, &a->since);
}

/* The busy worker for the host that another job should wait for: for this very host, because send
 * counts what waits by it. */
static struct rslot *find_busy(struct rspawn *r, struct job const *j)
{
  struct rslot *best = 0;
  for (size_t i = 0; i < r->nslots; i++) {
    struct rslot *s = r->slots + i;
    if (s->state != RSLOT_BUSY || s->njobs == RSLOT_JOBS || !is_for(s, j)) continue;
    if (!best || is_better(s, best)) best = s;
  }
  return best;
}

static int set_nexthop(struct rslot *s, char const *name, size_t len)
{
  return stralloc_copyb(&s->nexthop, name, len) && stralloc_0(&s->nexthop);
}

static int pass_on(struct rslot *s, struct job const *j)
{
  char const *nexthop = job_text(j, JOB_NEXTHOP);
  if (!stralloc_copys(&s->host, j->host) || !stralloc_0(&s->host)) return 0;
  if (!stralloc_copys(&s->via, job_text(j, JOB_VIA)) || !stralloc_0(&s->via)) return 0;
  if (*nexthop && !set_nexthop(s, nexthop, strlen(nexthop))) return 0;
  if (job_send(s->fd, j) != 1) return 0;
  rslot_add(s, j);
  s->state = RSLOT_BUSY;
  return 1;
}

/* To a worker whose connection is there: an idle one, or, where the job may wait, a busy one. */
static int give_known(struct rspawn *r, struct job const *j, int waits)
{
  struct rslot *s = find_idle(r, j);
  if (s && pass_on(s, j)) return 1;
  if (s) kill_worker(s);
  s = waits ? find_busy(r, j) : 0;
  return s && pass_on(s, j);
}

/* A new worker; where none can be had, in the place of an idle one. */
static struct rslot *find_new(struct rspawn *r)
{
  if (rworker_count(r) >= r->max && !rworker_make_room(r))
    return (errno = EAGAIN, (struct rslot *)0);
  struct rslot *s = start(r);
  if (!s && rworker_make_room(r)) s = start(r);
  return s;
}

void rworker_give(struct rspawn *r, struct job const *j)
{
  if (give_known(r, j, j->waits)) return;
  struct rslot *s = find_new(r);
  if (s && pass_on(s, j)) return;
  strerr_warnwu1sys("start pipit-remote");
  if (s) kill_worker(s);
  if (!give_known(r, j, 1)) rslot_refuse(r, j, cannot_start);
}

static struct job_packet taken; /* too large for the stack */

/* A worker that cannot go on, by its own fault or by ours. What it has read has failed for now;
 * what it has not goes to another one, unless this one never did anything: then so would that. */
static void lose(struct rspawn *r, struct rslot *s)
{
  struct rslot gone = *s;
  if (s->pid) kill(s->pid, SIGKILL);
  s->fd = s->peer = -1;
  s->njobs = 0;
  s->state = s->pid ? RSLOT_LEAVING : RSLOT_FREE;
  while (gone.njobs && job_recv(gone.peer, &taken) == 1) {
    while (gone.njobs && gone.jobs->num != taken.num) rslot_end(r, &gone, crashed);
    if (gone.njobs && !gone.proven) rslot_end(r, &gone, crashed);
    else if (gone.njobs) {
      rslot_drop(&gone, taken.num);
      rworker_give(r, &taken.job);
    }
    close(taken.job.fd);
  }
  while (gone.njobs) rslot_end(r, &gone, crashed);
  close(gone.fd);
  close(gone.peer);
}

/* <s> has nothing to do. Perhaps a job waits elsewhere that it can do at once. */
static void relieve(struct rspawn *r, struct rslot const *idle)
{
  for (size_t i = 0; i < r->nslots; i++) {
    struct rslot *s = r->slots + i;
    if (s->state != RSLOT_BUSY || s->njobs < 2) continue;
    if (!is_alike(s, idle->host.s, idle->via.s)) continue;
    if (job_recv(s->peer, &taken) != 1) continue;
    rslot_drop(s, taken.num);
    rworker_give(r, &taken.job);
    close(taken.job.fd);
    return;
  }
}

static void on_end(struct rspawn *r, struct rslot *s)
{
  rslot_end(r, s, crashed);
  s->proven = 1;
  if (s->njobs) return;
  s->state = RSLOT_IDLE;
  tain_addsec_g(&s->until, IDLE_MAX + JOB_GRACE);
  relieve(r, s);
}

/* The worker is about to connect, and tells where to. Where nobody knew, its connection takes the
 * place of an idle one: send counts only those of jobs. */
static void on_group(struct rspawn *r, struct rslot *s, struct job_packet const *p)
{
  int known = s->nexthop.len == p->textlen + 1 && !memcmp(s->nexthop.s, p->text, p->textlen);
  rslot_about(r, p);
  if (known) return;
  if (!set_nexthop(s, p->text, p->textlen)) s->nexthop.len = 0;
  for (size_t i = 0; i < r->nslots; i++) {
    struct rslot *other = r->slots + i;
    if (other->state != RSLOT_IDLE || !s->nexthop.len || !leads_to(other, s->nexthop.s)) continue;
    let_go(other);
    return;
  }
}

/* A packet from a worker. 1, or 0 when it makes no sense. */
static int obey(struct rspawn *r, struct rslot *s, struct job_packet const *p)
{
  if (s->state != RSLOT_BUSY || !strchr("NRGCTE", p->type) || p->num != s->jobs->num) return 0;
  if (p->type == 'N') return rslot_note(r, s, p->index, p->letter);
  if (p->type == 'R') return rslot_result(r, s, p->index, p->letter, p->text, p->textlen);
  if (p->type == 'E') on_end(r, s);
  else if (p->type == 'G') on_group(r, s, p);
  else rslot_about(r, p);
  return 1;
}

void rworker_read(struct rspawn *r, struct rslot *s)
{
  static struct job_packet p;
  int got;
  while (s->fd != -1 && (got = job_recv(s->fd, &p))) {
    int fits = got == 1 && obey(r, s, &p);
    if (got == 1 && p.job.fd != -1) close(p.job.fd);
    if (!fits) lose(r, s);
  }
}

void rworker_exited(struct rspawn *r, struct rslot *s)
{
  rworker_read(r, s);
  if (s->fd != -1) lose(r, s);
}

void rworker_late(struct rspawn *r, struct rslot *s)
{
  if (s->state == RSLOT_IDLE) let_go(s);
  else lose(r, s);
}
