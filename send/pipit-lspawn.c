/* pipit-lspawn.c - start local deliveries, each as the user that it is for
 *
 * usage: pipit-lspawn defaultdelivery
 *
 * Descriptor 0 is the socket to pipit-send (lib/job.h), which brings a pipe with
 * each job. In a privilege-separated instance this runs as root: it opens no
 * file of the queue and no file of a user, has no name to connect to, and leaves
 * everything that could block (looking a user up) or be attacked (his files) to
 * a child for each job; see lspawn-child.c. It ends when send does.
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

#include "accounts.h"
#include "address.h"
#include "control.h"
#include "home.h"
#include "job.h"
#include "lspawn.h"
#include "priv.h"
#include "program.h"

#define USAGE            "pipit-lspawn defaultdelivery"
#define MEMORY_MAX       268435456 /* bytes of address space of lspawn itself */
#define DELIVERIES_MAX   250       /* at the same time */
#define FILES_SPARE      24        /* descriptors for other purposes than a delivery's report */
#define DELIVERY_SECONDS 3600      /* default of control/timeoutlocal */
#define TIMEOUT_MAX      604800
#define KILL_SECONDS     10 /* between asking a delivery to end and ending it */
#define LINGER_SECONDS   30 /* for running deliveries, when send has gone */

enum state { FREE, RUNNING, RESULT, END };

struct delivery {
  enum state state;
  uint32_t num;
  pid_t pid;
  int fd; /* what it says, or -1 */
  tain deadline;
  int timedout;
  char letter;
  size_t len;
  char text[JOB_TEXT_MAX];
};

struct loop {
  struct lspawn l;
  unsigned long seconds; /* that a delivery may take */
  struct delivery *d;
  unsigned int max;
  int ended; /* send has gone */
  tain deadline;
};

static void say(struct delivery *d, char letter, char const *text)
{
  size_t len = strlen(text);
  if (len > sizeof d->text) len = sizeof d->text;
  d->letter = letter;
  memmove(d->text + len, d->text, d->len < sizeof d->text - len ? d->len : sizeof d->text - len);
  memcpy(d->text, text, len);
  d->len = d->len < sizeof d->text - len ? d->len + len : sizeof d->text;
  d->state = RESULT;
}

/* Turn how a child ended into a result, as qmail-lspawn does; but trouble with
 * running a program (126 and 127 of a shell) is never the message's fault. */
static void judge(struct delivery *d, int wstat)
{
  if (d->timedout) return say(d, 'Z', "Delivery took too long and was stopped. (#4.3.0)\n");
  if (WIFSIGNALED(wstat)) return say(d, 'Z', "pipit-local crashed. (#4.3.0)\n");
  switch (WEXITSTATUS(wstat)) {
  case LSPAWN_CDB: return say(d, 'Z', "Trouble reading users/cdb in pipit-lspawn. (#4.3.0)\n");
  case LSPAWN_NOMEM: return say(d, 'Z', "Out of memory in pipit-lspawn. (#4.3.0)\n");
  case LSPAWN_SYS: return say(d, 'Z', "Temporary failure in pipit-lspawn. (#4.3.0)\n");
  case LSPAWN_NOALIAS: return say(d, 'Z', "Unable to find alias user! (#4.3.0)\n");
  case LSPAWN_ROOT: return say(d, 'Z', "Not allowed to perform deliveries as root. (#4.3.0)\n");
  case LSPAWN_USAGE: return say(d, 'Z', "Internal pipit-lspawn bug. (#4.3.0)\n");
  case LSPAWN_NFS: return say(d, 'Z', "Unable to see the user's home. (#4.3.0)\n");
  case LSPAWN_GETPW: return say(d, 'Z', "Trouble reading the password database. (#4.3.0)\n");
  case LSPAWN_EXEC:
  case 126:
  case 127: return say(d, 'Z', "Unable to run pipit-local. (#4.3.0)\n");
  case 111:
  case 71:
  case 74:
  case 75: return say(d, 'Z', "");
  case 0: return say(d, 'K', "");
  default: return say(d, 'D', "");
  }
}

/* Read what a delivery says, as far as it is there; only the first JOB_TEXT_MAX
 * bytes are kept, and nothing from a NUL on. */
static void listen_to(struct delivery *d)
{
  char buf[4096];
  while (d->fd != -1) {
    ssize_t r = fd_read(d->fd, buf, sizeof buf);
    if (r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (r <= 0) {
      close(d->fd);
      d->fd = -1;
      return;
    }
    size_t n = (size_t)r;
    if (n > sizeof d->text - d->len) n = sizeof d->text - d->len;
    memcpy(d->text + d->len, buf, n);
    d->len += n;
  }
}

static void ended(struct delivery *d, int wstat)
{
  if (d->timedout) kill(-d->pid, SIGKILL);
  listen_to(d);
  if (d->fd != -1) close(d->fd);
  d->fd = -1;
  d->len = strnlen(d->text, d->len);
  judge(d, wstat);
}

static void reap(struct loop *o)
{
  int wstat;
  pid_t pid;
  while ((pid = wait_nohang(&wstat)) > 0)
    for (unsigned int i = 0; i < o->max; i++)
      if (o->d[i].state == RUNNING && o->d[i].pid == pid) ended(o->d + i, wstat);
}

/* Fork the child of a delivery. NULL, or why there is none. */
static char const *launch(struct loop *o, struct delivery *d, struct job const *j)
{
  int p[2];
  if (pipe2(p, O_CLOEXEC) == -1) return "Unable to make a pipe in pipit-lspawn. (#4.3.0)\n";
  struct lspawn_job child = {
      .message = j->fd, .report = p[1], .length = j->length, .sender = j->sender, .rcpt = j->rcpts};
  d->pid = fork();
  if (!d->pid) {
    selfpipe_finish();
    lspawn_child(&o->l, &child);
  }
  close(p[1]);
  if (d->pid == -1) {
    close(p[0]);
    return "Unable to fork in pipit-lspawn. (#4.3.0)\n";
  }
  ndelay_on(p[0]);
  d->fd = p[0];
  d->state = RUNNING;
  tain_addsec_g(&d->deadline, (int)o->seconds);
  return 0;
}

/* Is <fd> a pipe that can be read? */
static int is_pipe(int fd)
{
  struct stat st;
  int flags = fcntl(fd, F_GETFL);
  return flags != -1 && (flags & O_ACCMODE) == O_RDONLY && fstat(fd, &st) == 0 &&
         S_ISFIFO(st.st_mode);
}

static void start(struct loop *o, struct delivery *d, struct job const *j)
{
  char const *trouble;
  size_t at = address_at(j->rcpts, strlen(j->rcpts));
  memset(d, 0, offsetof(struct delivery, text));
  d->num = j->num;
  d->fd = -1;
  if (!is_pipe(j->fd))
    trouble = "Internal error: the message is no pipe. (#4.3.0)\n";
  else if (j->nrcpts != 1 || !j->rcpts[at])
    trouble = "Internal error: not one recipient. (#4.3.0)\n";
  else if (!at)
    return say(d, 'K', "");
  else
    trouble = launch(o, d, j);
  if (trouble) say(d, 'Z', trouble);
}

/* Take one packet from send. 0 when there is none. */
static int take_job(struct loop *o)
{
  static struct job_packet p;
  int r = job_recv(0, &p);
  if (r == -1 && errno == EPIPE) {
    o->ended = 1;
    tain_addsec_g(&o->deadline, LINGER_SECONDS);
  } else if (r == -1) {
    strerr_diefusys(111, "understand pipit-send");
  }
  if (r != 1) return 0;
  if (p.type != 'J') strerr_dief(111, "pipit-send sent something that is no job");
  unsigned int i = 0;
  while (i < o->max && o->d[i].state != FREE) i++;
  if (i == o->max) strerr_dief(111, "pipit-send sent more jobs than were asked for");
  start(o, o->d + i, &p.job);
  close(p.job.fd);
  return 1;
}

/* Tell send about deliveries that have ended, as much as it takes now. 1 when
 * something is left to tell. */
static int tell(struct loop *o)
{
  for (unsigned int i = 0; i < o->max; i++) {
    struct delivery *d = o->d + i;
    int r = 1;
    if (d->state == RESULT) {
      r = job_send_result(0, d->num, 0, d->letter, d->text, d->len);
      if (r == 1) d->state = END;
    }
    if (d->state == END) {
      r = job_send_end(0, d->num);
      if (r == 1) d->state = FREE;
    }
    if (r == -1 && (o->ended || errno == EPIPE))
      d->state = FREE;
    else if (r == -1)
      strerr_diefusys(111, "report to pipit-send");
    else if (!r)
      return 1;
  }
  return 0;
}

/* End deliveries that take too long: first ask the whole session, then insist. */
static void enforce(struct loop *o)
{
  for (unsigned int i = 0; i < o->max; i++) {
    struct delivery *d = o->d + i;
    if (d->state != RUNNING || tain_future(&d->deadline)) continue;
    int sig = d->timedout ? SIGKILL : SIGTERM;
    if (kill(-d->pid, sig) == -1) kill(d->pid, sig);
    d->timedout = 1;
    tain_addsec_g(&d->deadline, KILL_SECONDS);
  }
}

/* Fill in what to wait for and until when. The number of running deliveries. */
static unsigned int prepare(struct loop *o, iopause_fd *x, unsigned int *n, tain *deadline)
{
  unsigned int running = 0;
  tain_addsec_g(deadline, TIMEOUT_MAX);
  if (o->ended) *deadline = o->deadline;
  for (unsigned int i = 0; i < o->max; i++) {
    struct delivery *d = o->d + i;
    if (d->state != RUNNING) continue;
    running++;
    if (tain_less(&d->deadline, deadline)) *deadline = d->deadline;
    if (d->fd == -1) continue;
    x[*n].fd = d->fd;
    x[(*n)++].events = IOPAUSE_READ;
  }
  return running;
}

static void work(struct loop *o, int signals)
{
  iopause_fd x[2 + DELIVERIES_MAX];
  for (;;) {
    tain deadline;
    unsigned int n = 2;
    int more = tell(o);
    unsigned int running = prepare(o, x, &n, &deadline);
    if (o->ended && (!running || !tain_future(&o->deadline))) return;
    x[0].fd = signals;
    x[0].events = IOPAUSE_READ;
    x[1].fd = o->ended ? -1 : 0;
    x[1].events = (short)(IOPAUSE_READ | (more ? IOPAUSE_WRITE : 0));
    if (iopause_g(x, n, &deadline) == -1) strerr_diefusys(111, "poll");
    enforce(o);
    for (unsigned int i = 0; i < o->max; i++) listen_to(o->d + i);
    if (x[0].revents & IOPAUSE_READ)
      while (selfpipe_read() > 0) reap(o);
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
  rlim_t want = DELIVERIES_MAX + FILES_SPARE;
  if (r.rlim_cur < want) r.rlim_cur = want < r.rlim_max ? want : r.rlim_max;
  setrlimit(RLIMIT_NOFILE, &r);
  if (r.rlim_cur <= FILES_SPARE) strerr_dief(111, "the limit of open files is too low");
  return r.rlim_cur < want ? (unsigned int)r.rlim_cur - FILES_SPARE : DELIVERIES_MAX;
}

static void set_up(struct loop *o, char const *defaultdelivery)
{
  struct lspawn *l = &o->l;
  l->defaultdelivery = defaultdelivery;
  o->max = make_room(l);
  if (!accounts_load(&l->accounts)) strerr_dief(111, accounts_why());
  if (!l->accounts.separated && !accounts_become(&l->accounts, ACCOUNT_ALIAS))
    strerr_dief(111, accounts_why());
  if (l->accounts.separated && geteuid())
    strerr_dief(111, "start this as root: this instance delivers to many users");
  o->seconds = DELIVERY_SECONDS;
  if (control_number("timeoutlocal", &o->seconds, TIMEOUT_MAX) == -1)
    strerr_dief(111, control_why());
  if (!o->seconds) strerr_dief(111, "control/timeoutlocal: 0 seconds are too few for a delivery");
  l->home = realpath(home_dir(), 0);
  if (!l->home) strerr_diefusys(111, "find ", home_dir());
  l->stamp = mmap(0, sizeof *l->stamp, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  o->d = calloc(o->max, sizeof *o->d);
  if (!o->d || l->stamp == MAP_FAILED) strerr_dief(111, "out of memory");
  for (unsigned int i = 0; i < o->max; i++) o->d[i].fd = -1;
  if (!priv_limit_memory(MEMORY_MAX)) strerr_diefusys(111, "limit memory");
}

int main(int argc, char const *const *argv)
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
  if (job_send_hello(0, o.max) != 1) strerr_diefusys(111, "speak to pipit-send on descriptor 0");
  work(&o, signals);
  return 0;
}
