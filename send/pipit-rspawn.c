/* pipit-rspawn.c - give send's remote jobs to workers
 *
 * usage: pipit-rspawn
 *
 * Descriptor 0 is a socket to pipit-send (lib/job.h). Each job goes to a
 * pipit-remote process, one for each connection, kept for more jobs to the same
 * host, the next of which may be given to it before the present one has ended; with QMAILREMOTE set, to a process of that program for each job. A local
 * fault (no process, no descriptor, a crash) is always temporary.
 *
 * It is a name of pipit-remote.
 *
 * exit: 0 descriptor 0 has ended, 100 wrong usage, 111 temporary trouble.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/djbunix.h>
#include <skalibs/iopause.h>
#include <skalibs/selfpipe.h>
#include <skalibs/strerr.h>

#include "accounts.h"
#include "home.h"
#include "pipit-rspawn.h"
#include "priv.h"
#include "program.h"
#include "rprogram.h"
#include "rslot.h"
#include "rworker.h"
#include "signals.h"

#define JOBS_MAX     1000 /* at once, idle workers included */
#define FDS_PER_JOB  3
#define FDS_RESERVED 16
#define FDS_LEAST    12 /* that let one job at a time go on */
#define BURST        16 /* jobs that are read before workers get their turn */
#define MEMORY_MAX   ((size_t)128 << 20)

static int take_job(struct rspawn *r, struct rlimit const *memory)
{
  static struct job_packet p;
  int got = job_recv(r->send, &p);
  if (got == -1 && errno == EPIPE) _exit(0);
  if (got == -1) strerr_diefu1sys(EXIT_TEMPORARY, "read a job");
  if (!got) return 0;
  if (p.type != 'J') strerr_dief1x(EXIT_TEMPORARY, "this packet is no job");
  if (r->program) rprogram_run(r, &p.job, memory);
  else rworker_give(r, &p.job);
  close(p.job.fd);
  return 1;
}

static void on_exit_of(struct rspawn *r, pid_t pid, int status)
{
  for (size_t i = 0; i < r->nslots; i++) {
    struct rslot *s = r->slots + i;
    if (s->state == RSLOT_FREE || s->pid != pid) continue;
    s->pid = 0;
    s->status = status;
    if (s->state == RSLOT_LEAVING) s->state = RSLOT_FREE;
    else if (s->state == RSLOT_PROGRAM) rprogram_exited(r, s);
    else rworker_exited(r, s);
    return;
  }
}

static void on_signal(struct rspawn *r)
{
  int sig;
  while ((sig = signals_next()) > 0) {
    int status;
    pid_t pid;
    if (sig == SIGCHLD)
      while ((pid = wait_nohang(&status)) > 0) on_exit_of(r, pid, status);
  }
}

static void on_events(struct rspawn *r, struct rslot *s)
{
  if (s->state == RSLOT_PROGRAM) rprogram_read(r, s);
  else if (s->state == RSLOT_IDLE || s->state == RSLOT_BUSY) rworker_read(r, s);
}

static void on_times(struct rspawn *r)
{
  for (size_t i = 0; i < r->nslots; i++) {
    struct rslot *s = r->slots + i;
    if (s->state == RSLOT_FREE || s->state == RSLOT_LEAVING || tain_future(&s->until)) continue;
    if (s->state == RSLOT_PROGRAM) rprogram_late(r, s);
    else rworker_late(r, s);
  }
}

/* Fill x[2...]; owner[i] is the slot that x[i] belongs to. The number of entries in x. */
static unsigned int prepare(struct rspawn *r, iopause_fd *x, struct rslot **owner, tain *deadline)
{
  unsigned int n = 2;
  *deadline = tain_infinite;
  for (size_t i = 0; i < r->nslots; i++) {
    struct rslot *s = r->slots + i;
    if (s->state == RSLOT_FREE || s->state == RSLOT_LEAVING) continue;
    if (tain_less(&s->until, deadline)) *deadline = s->until;
    if (s->fd == -1) continue;
    x[n] = (iopause_fd){ .fd = s->fd, .events = IOPAUSE_READ };
    owner[n++] = s;
  }
  return n;
}

static void serve(struct rspawn *r, int sigfd, struct rlimit const *memory) __attribute__((noreturn));
static void serve(struct rspawn *r, int sigfd, struct rlimit const *memory)
{
  iopause_fd *x = calloc(r->room + 2, sizeof *x);
  struct rslot **owner = calloc(r->room + 2, sizeof *owner);
  if (!x || !owner) strerr_dief1x(EXIT_TEMPORARY, "out of memory");
  x[0] = (iopause_fd){ .fd = sigfd, .events = IOPAUSE_READ };
  x[1] = (iopause_fd){ .fd = r->send, .events = IOPAUSE_READ };
  for (;;) {
    tain deadline;
    unsigned int n = prepare(r, x, owner, &deadline);
    if (iopause_g(x, n, &deadline) == -1) strerr_diefu1sys(EXIT_TEMPORARY, "wait for events");
    for (unsigned int i = 2; i < n; i++)
      if (x[i].revents && owner[i]->fd == x[i].fd) on_events(r, owner[i]);
    on_times(r);
    if (x[0].revents) on_signal(r);
    if (x[1].revents)
      for (int i = 0; i < BURST && take_job(r, memory); i++)
        ;
  }
}

/* As many jobs at once as there are descriptors for. */
static uint32_t find_max(void)
{
  struct rlimit l;
  if (getrlimit(RLIMIT_NOFILE, &l) == -1)
    strerr_diefu1sys(EXIT_TEMPORARY, "find the limit of descriptors");
  rlim_t want = FDS_RESERVED + FDS_PER_JOB * JOBS_MAX;
  if (l.rlim_cur < want) {
    l.rlim_cur = l.rlim_max < want ? l.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &l) == -1)
      strerr_diefu1sys(EXIT_TEMPORARY, "raise the limit of descriptors");
  }
  if (l.rlim_cur >= want) return JOBS_MAX;
  if (l.rlim_cur < FDS_LEAST) strerr_dief1x(EXIT_TEMPORARY, "too few descriptors are allowed");
  if (l.rlim_cur < FDS_RESERVED + FDS_PER_JOB) return 1;
  return (uint32_t)((l.rlim_cur - FDS_RESERVED) / FDS_PER_JOB);
}

static void drop_root(void)
{
  struct accounts a;
  if (geteuid()) return;
  if (!accounts_load(&a) || !accounts_become(&a, ACCOUNT_REMOTE))
    strerr_dief1x(EXIT_TEMPORARY, accounts_why());
}

static int set_up(struct rspawn *r, struct rlimit *memory)
{
  r->program = getenv("QMAILREMOTE");
  if (r->program && !*r->program) r->program = 0;
  r->worker = home_program("pipit-remote");
  r->max = find_max();
  /* As many again may be on their way out. */
  r->room = 2 * (size_t)r->max;
  r->slots = calloc(r->room, sizeof *r->slots);
  if (!r->slots) strerr_dief1x(EXIT_TEMPORARY, "out of memory");
  if (getrlimit(RLIMIT_AS, memory) == -1 || !priv_limit_memory(MEMORY_MAX))
    strerr_diefu1sys(EXIT_TEMPORARY, "limit memory");
  if (!r->program && !priv_no_new_privs()) strerr_diefu1sys(EXIT_TEMPORARY, "give up rights");
  int sigfd = selfpipe_init();
  if (sigfd == -1 || !selfpipe_trap(SIGCHLD)) strerr_diefu1sys(EXIT_TEMPORARY, "trap signals");
  return sigfd;
}

int rspawn_main(int argc, char const *const *argv)
{
  struct rspawn r = { .send = 0 };
  struct rlimit memory;
  (void)argv;
  program_start("pipit-rspawn");
  if (argc > 1) strerr_dieusage(EXIT_PERMANENT, "pipit-rspawn");
  tain_now_set_stopwatch_g();
  drop_root();
  int sigfd = set_up(&r, &memory);
  if (job_send_hello(r.send, r.max) != 1 ||
      (!r.program && job_send_ahead(r.send, RSLOT_AHEAD) != 1))
    strerr_diefu1sys(EXIT_TEMPORARY, "speak to send");
  serve(&r, sigfd, &memory);
}
