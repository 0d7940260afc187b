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
  s->fd = -1;
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
  int e = errno;
  close(sock[1]);
  if (pid == -1) {
    close(sock[0]);
    return (errno = e, (struct rslot *)0);
  }
  s->pid = pid;
  s->fd = sock[0];
  s->state = RSLOT_IDLE;
  return s;
}

/* Of the idle workers for the host, the one that was busy last. */
static struct rslot *find_idle(struct rspawn *r, char const *host)
{
  struct rslot *best = 0;
  for (size_t i = 0; i < r->nslots; i++) {
    struct rslot *s = r->slots + i;
    if (s->state != RSLOT_IDLE || strcasecmp(s->host.s, host)) continue;
    if (!best || tain_less(&best->until, &s->until)) best = s;
  }
  return best;
}

static int pass_on(struct rslot *s, struct job const *j)
{
  return stralloc_copys(&s->host, j->host) && stralloc_0(&s->host) && job_send(s->fd, j) == 1;
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
  struct rslot *s = find_idle(r, j->host);
  if (s && !pass_on(s, j)) {
    kill_worker(s); /* it died while it had nothing to do */
    s = 0;
  }
  if (!s) {
    s = find_new(r);
    if (!s || !pass_on(s, j)) {
      strerr_warnwu1sys("start pipit-remote");
      if (s) kill_worker(s);
      rslot_refuse(r, j, cannot_start);
      return;
    }
  }
  rslot_begin(s, j);
  s->state = RSLOT_BUSY;
}

/* A worker that cannot go on, by its own fault or by ours. */
static void fail(struct rspawn *r, struct rslot *s)
{
  int busy = s->state == RSLOT_BUSY;
  kill_worker(s);
  if (busy) rslot_end(r, s, crashed);
}

static void on_end(struct rspawn *r, struct rslot *s)
{
  rslot_end(r, s, crashed);
  s->state = RSLOT_IDLE;
  tain_addsec_g(&s->until, (int)s->idle);
}

void rworker_read(struct rspawn *r, struct rslot *s)
{
  static struct job_packet p;
  for (;;) {
    int got = job_recv(s->fd, &p);
    if (!got) return;
    int fits = got == 1 && s->state == RSLOT_BUSY && strchr("RGCE", p.type) && p.num == s->num;
    if (fits && p.type == 'R') fits = rslot_result(r, s, p.index, p.letter, p.text, p.textlen);
    else if (fits && p.type != 'E') rslot_about(r, &p);
    else if (fits) {
      on_end(r, s);
      return;
    }
    if (got == 1 && p.job.fd != -1) close(p.job.fd);
    if (!fits) {
      fail(r, s);
      return;
    }
  }
}

void rworker_late(struct rspawn *r, struct rslot *s)
{
  if (s->state == RSLOT_IDLE) let_go(s);
  else fail(r, s);
}
