/* pipit-lspawn.c - start local deliveries, each as the user that it is for
 *
 * usage: pipit-lspawn defaultdelivery
 *
 * Descriptor 0 is the socket to pipit-send (lib/job.h). In a privilege-separated
 * instance this runs as root: it opens no file of the queue and no file of a user,
 * has no name to connect to, and leaves everything that could block (looking a
 * user up) or be attacked (his files) to children. Each becomes one user for
 * good and delivers to one address; see lspawn-child.c, and lspawn-worker.c for
 * those that take more than one message. This ends when send does.
 *
 * Called as pipit-start or qmail-start it is that program, which is root's as well;
 * under any other name it is pipit-local: one delivery is the same code.
 *
 * exit: 0 send has gone, 100 wrong usage, 111 try later.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>
#include <skalibs/iopause.h>
#include <skalibs/selfpipe.h>
#include <skalibs/sig.h>
#include <skalibs/strerr.h>
#include <skalibs/tai.h>

#include "../local/pipit-local.h"
#include "accounts.h"
#include "address.h"
#include "control.h"
#include "home.h"
#include "job.h"
#include "lspawn.h"
#include "pipit-start.h"
#include "priv.h"
#include "program.h"
#include "signals.h"

#define USAGE            "pipit-lspawn defaultdelivery"
#define MEMORY_MAX       268435456 /* bytes of address space of lspawn itself */
#define DELIVERIES_MAX   250       /* at the same time */
#define FILES_EACH       3         /* descriptors of a delivery: both ends of a socket, the report */
#define FILES_SPARE      24        /* descriptors for other purposes */
#define FILES_LEAST      12        /* that let one delivery at a time go on */
#define DELIVERY_SECONDS 3600      /* default of control/timeoutlocal */
#define TIMEOUT_MAX      604800
#define KILL_SECONDS     10 /* between asking a delivery to end and ending it */
#define LINGER_SECONDS   30 /* for running deliveries, when send has gone */

struct loop {
  struct lspawn l;
  int ended; /* send has gone */
  tain deadline;
};

static void reap(struct lspawn *l)
{
  int wstat;
  pid_t pid;
  while ((pid = wait_nohang(&wstat)) > 0)
    for (unsigned int i = 0; i < l->max; i++)
      if (l->slots[i].pid == pid) worker_ended(l, l->slots + i, wstat);
}

/* Is <fd> a pipe that can be read? */
static int is_pipe(int fd)
{
  struct stat st;
  int flags = fcntl(fd, F_GETFL);
  return flags != -1 && (flags & O_ACCMODE) == O_RDONLY && fstat(fd, &st) == 0 &&
         S_ISFIFO(st.st_mode);
}

/* What is wrong with a job that send never sends, or NULL. */
static char const *look_at(struct job const *j)
{
  if (!j->body && !is_pipe(j->fd)) return "Internal error: the message is no pipe. (#4.3.0)\n";
  if (j->nrcpts != 1 || !j->rcpts[address_at(j->rcpts, strlen(j->rcpts))])
    return "Internal error: not one recipient. (#4.3.0)\n";
  return 0;
}

static void start(struct lspawn *l, struct job const *j)
{
  char const *trouble = look_at(j);
  int nobody = !trouble && *j->rcpts == '@';
  struct slot *s = worker_find(l, trouble || nobody ? 0 : j->rcpts);
  if (!s) strerr_dief(111, "pipit-send sent more jobs than were asked for");
  if (!trouble && !nobody) return worker_give(l, s, j);
  s->num = j->num;
  s->len = 0;
  if (trouble) worker_defer(s, trouble);
  else worker_say(s, 'K', "", 0);
}

/* Take one packet from send. 0 when there is none. */
static int take_job(struct loop *o)
{
  struct job_packet *p = o->l.packet;
  int r = job_recv(0, p);
  if (r == -1 && errno == EPIPE) {
    o->ended = 1;
    tain_addsec_g(&o->deadline, LINGER_SECONDS);
  } else if (r == -1) {
    strerr_diefusys(111, "understand pipit-send");
  }
  if (r != 1) return 0;
  if (p->type != 'J' && p->type != 'M')
    strerr_dief(111, "pipit-send sent something that is no job");
  start(&o->l, &p->job);
  if (p->job.fd != -1) close(p->job.fd);
  return 1;
}

/* Tell send of a result, with what there is to note on it. As job_send_result. */
static int tell_result(struct slot const *s)
{
  int r = 1;
  if (s->letter == 'Z' && s->sofarlen) r = job_send_sofar(0, s->num, 0, s->sofar, s->sofarlen);
  else if (s->letter == 'K' && s->note) r = job_send_note(0, s->num, 0, s->note);
  return r == 1 ? job_send_result(0, s->num, 0, s->letter, s->text, s->len) : r;
}

/* Tell send about deliveries that have ended, as much as it takes now. 1 when
 * something is left to tell. */
static int tell(struct loop *o)
{
  for (unsigned int i = 0; i < o->l.max; i++) {
    struct slot *s = o->l.slots + i;
    int r = 1;
    if (s->state == RESULT) {
      r = tell_result(s);
      if (r == 1) s->state = END;
    }
    if (s->state == END) {
      r = job_send_end(0, s->num);
      if (r == 1) worker_rest(&o->l, s);
    }
    if (r == -1 && (o->ended || errno == EPIPE))
      worker_leave(s);
    else if (r == -1)
      strerr_diefusys(111, "report to pipit-send");
    else if (!r)
      return 1;
  }
  return 0;
}

/* End deliveries that take too long: first ask the whole session, then insist.
 * And let workers go that have been idle for long enough. */
static void enforce(struct lspawn *l)
{
  for (unsigned int i = 0; i < l->max; i++) {
    struct slot *s = l->slots + i;
    if ((s->state != RUNNING && s->state != IDLE) || tain_future(&s->deadline)) continue;
    if (s->state == IDLE) {
      worker_leave(s);
      continue;
    }
    int sig = s->timedout ? SIGKILL : SIGTERM;
    if (kill(-s->pid, sig) == -1) kill(s->pid, sig);
    s->timedout = 1;
    tain_addsec_g(&s->deadline, KILL_SECONDS);
  }
}

static void watch(iopause_fd *x, unsigned int *n, struct slot **owner, struct slot *s, int fd)
{
  if (fd == -1) return;
  x[*n].fd = fd;
  x[*n].events = IOPAUSE_READ;
  owner[(*n)++] = s;
}

/* Fill in what to wait for, whose it is, and until when. The number of running deliveries. */
static unsigned int prepare(struct loop *o, iopause_fd *x, unsigned int *n, struct slot **owner,
                            tain *deadline)
{
  unsigned int running = 0;
  tain_addsec_g(deadline, TIMEOUT_MAX);
  if (o->ended) *deadline = o->deadline;
  for (unsigned int i = 0; i < o->l.max; i++) {
    struct slot *s = o->l.slots + i;
    if (s->state != RUNNING && s->state != IDLE) continue;
    if (tain_less(&s->deadline, deadline)) *deadline = s->deadline;
    if (s->state == IDLE) continue;
    running++;
    watch(x, n, owner, s, s->report);
    watch(x, n, owner, s, s->sock);
  }
  return running;
}

static void work(struct loop *o, int signals)
{
  iopause_fd x[2 + 2 * DELIVERIES_MAX];
  struct slot *owner[2 + 2 * DELIVERIES_MAX];
  for (;;) {
    tain deadline;
    unsigned int n = 2;
    int more = tell(o);
    unsigned int running = prepare(o, x, &n, owner, &deadline);
    if (o->ended && (!running || !tain_future(&o->deadline))) return;
    x[0].fd = signals;
    x[0].events = IOPAUSE_READ;
    x[1].fd = o->ended ? -1 : 0;
    x[1].events = (short)(IOPAUSE_READ | (more ? IOPAUSE_WRITE : 0));
    if (iopause_g(x, n, &deadline) == -1) strerr_diefusys(111, "poll");
    enforce(&o->l);
    for (unsigned int i = 2; i < n; i++)
      if (x[i].revents && owner[i]->state == RUNNING) worker_listen(&o->l, owner[i]);
    if (x[0].revents & IOPAUSE_READ)
      while (signals_next() > 0) reap(&o->l);
    if (!o->ended && x[1].revents & (IOPAUSE_READ | IOPAUSE_EXCEPT))
      while (take_job(o)) continue;
  }
}

/* Raise the limit of open files as far as needed and allowed; the number of
 * deliveries that it leaves room for. */
static unsigned int make_room(struct lspawn *l)
{
  if (getrlimit(RLIMIT_NOFILE, &l->files) == -1) strerr_diefusys(111, "read limits");
  struct rlimit r = l->files;
  rlim_t want = DELIVERIES_MAX * FILES_EACH + FILES_SPARE;
  if (r.rlim_cur < want) r.rlim_cur = want < r.rlim_max ? want : r.rlim_max;
  setrlimit(RLIMIT_NOFILE, &r);
  if (r.rlim_cur < FILES_LEAST) strerr_dief(111, "the limit of open files is too low");
  if (r.rlim_cur >= want) return DELIVERIES_MAX;
  if (r.rlim_cur < FILES_SPARE + FILES_EACH) return 1;
  return (unsigned int)(r.rlim_cur - FILES_SPARE) / FILES_EACH;
}

/* Zeros; where deliveries are no programs, none that a child has. */
static void *own_memory(struct lspawn const *l, size_t size)
{
  void *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) strerr_dief(111, "out of memory");
  if (!l->program && madvise(p, size, MADV_DONTFORK) == -1)
    strerr_diefusys(111, "keep memory from children");
  return p;
}

/* Zeros that children share, until they become users. */
static void share_memory(struct lspawn *l)
{
  l->sharedsize = sizeof *l->stamps + l->max * sizeof *l->found;
  l->shared = mmap(0, l->sharedsize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (l->shared == MAP_FAILED) strerr_dief(111, "out of memory");
  l->stamps = l->shared;
  l->found = (struct known *)(l->stamps + 1);
}

static void make_slots(struct lspawn *l)
{
  l->packet = own_memory(l, sizeof *l->packet);
  l->slots = own_memory(l, l->max * sizeof *l->slots);
  l->known = own_memory(l, KNOWN_ENTRIES * sizeof *l->known);
  char *texts = own_memory(l, l->max * (JOB_TEXT_MAX + JOB_SOFAR_MAX));
  for (unsigned int i = 0; i < l->max; i++) {
    struct slot *s = l->slots + i;
    s->report = s->sock = s->peer = -1;
    s->text = texts + i * (JOB_TEXT_MAX + JOB_SOFAR_MAX);
    s->sofar = s->text + JOB_TEXT_MAX;
  }
}

static void set_up(struct loop *o, char const *defaultdelivery)
{
  struct lspawn *l = &o->l;
  l->defaultdelivery = defaultdelivery;
  l->program = getenv("QMAILLOCAL");
  if (l->program && !*l->program) l->program = 0;
  l->max = make_room(l);
  if (!accounts_load(&l->accounts)) strerr_dief(111, accounts_why());
  if (!l->accounts.separated && !accounts_become(&l->accounts, ACCOUNT_ALIAS))
    strerr_dief(111, accounts_why());
  if (l->accounts.separated && geteuid())
    strerr_dief(111, "start this as root: this instance delivers to many users");
  l->seconds = DELIVERY_SECONDS;
  if (control_number("timeoutlocal", &l->seconds, TIMEOUT_MAX) == -1 ||
      control_number("supplementarygroups", &l->groups, 1) == -1)
    strerr_dief(111, control_why());
  if (!l->seconds) strerr_dief(111, "control/timeoutlocal: 0 seconds are too few for a delivery");
  l->home = realpath(home_dir(), 0);
  if (!l->home) strerr_diefusys(111, "find ", home_dir());
  l->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (l->null == -1) strerr_diefusys(111, "open /dev/null");
  share_memory(l);
  l->idle = IDLE_MAX;
  make_slots(l);
  lspawn_environment(l);
  if (!priv_limit_memory(MEMORY_MAX)) strerr_diefusys(111, "limit memory");
}

static int lspawn_main(int argc, char const *const *argv)
{
  static struct loop o;
  program_start("pipit-lspawn");
  if (argc != 2) strerr_dieusage(100, USAGE);
  set_up(&o, argv[1]);
  tain_now_set_stopwatch_g();
  /* A signal to the group is for send: it ends when its deliveries have ended, and this with it. */
  sig_altignore(SIGTERM);
  sig_altignore(SIGINT);
  sig_altignore(SIGHUP);
  int signals = selfpipe_init();
  if (signals == -1 || selfpipe_trap(SIGCHLD) == -1) strerr_diefusys(111, "trap signals");
  if (job_send_hello(0, o.l.max) != 1) strerr_diefusys(111, "speak to pipit-send on descriptor 0");
  work(&o, signals);
  return 0;
}

int main(int argc, char const *const *argv)
{
  char const *called = program_called(argv[0]);
  if (names_ours(called, "lspawn")) return lspawn_main(argc, argv);
  if (names_ours(called, "start")) return start_main(argc, argv);
  return local_main(argc, argv);
}
