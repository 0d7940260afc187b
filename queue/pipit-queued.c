/* pipit-queued.c - take messages in, and put them on disk
 *
 * usage: pipit-queued [ -d fd ]
 *
 * Listens on run/queue of the instance and serves each connection with a child
 * of its own (session.c). Another child, the filler (pool.c), keeps finished
 * files ready to be used again. Started as root it becomes pipitq.
 * -d fd: write a newline to fd and close it once connections are taken.
 *
 * TERM: take no more connections; children finish their message. HUP: read
 * the control files again, for new connections.
 *
 * exit: 0 after TERM, 100 wrong usage, 111 trouble at the start.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/djbunix.h>
#include <skalibs/iopause.h>
#include <skalibs/selfpipe.h>
#include <skalibs/sgetopt.h>
#include <skalibs/sig.h>
#include <skalibs/strerr.h>
#include <skalibs/tai.h>
#include <skalibs/types.h>

#include "children.h"
#include "control.h"
#include "crc32c.h"
#include "date.h"
#include "freelist.h"
#include "home.h"
#include "ids.h"
#include "lock.h"
#include "logline.h"
#include "pool.h"
#include "priv.h"
#include "program.h"
#include "qfile.h"
#include "sandbox.h"
#include "session.h"
#include "signals.h"

#define USAGE "pipit-queued [ -d fd ]"

#define MEMORY_MAX     67108864 /* bytes of address space */
#define BACKLOG        512
#define STOP_SECONDS   5 /* for children to finish after TERM; then they go on alone */
#define PAUSE_SECONDS  1 /* without connections when there are no descriptors or processes */
#define REFILL_SECONDS 1 /* before a filler that died is started again */
#define SAY_SECONDS    1 /* between two lines about refused connections */

struct queued {
  struct queue q;
  struct children children;
  int listener;
  int lock;
  pid_t self;
  pid_t filler;
  int stopping;
  tain refill;   /* when the filler is to be started again */
  tain resume;   /* when connections are taken again */
  tain say;      /* when a refusal may be logged again */
  uint64_t refused; /* since the last one that was */
};

/* The lock is this process's alone: no child keeps it, so one that is started anew gets it at once. */
static int open_lock(struct queued *d)
{
  d->lock = openat(d->q.dir, "lock/queued", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (d->lock == -1) strerr_diefusys(EXIT_TEMPORARY, "open ", home_dir(), "/queue/lock/queued");
  if (lock_fcntl(d->lock)) return 1;
  if (errno == EWOULDBLOCK)
    strerr_dief(EXIT_TEMPORARY, "another pipit-queued serves ", home_dir());
  strerr_diefusys(EXIT_TEMPORARY, "lock ", home_dir(), "/queue/lock/queued");
}

/* Everything in queue/ that is needed; the process is pipitq already. */
static void open_queue(struct queued *d)
{
  struct stat st;
  d->q.dir = openat(home_fd(), "queue", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (d->q.dir == -1 || fstat(d->q.dir, &st) == -1)
    strerr_diefusys(EXIT_TEMPORARY, "open ", home_dir(), "/queue");
  d->q.owner = geteuid();
  open_lock(d);
  d->q.split = qfile_split(d->q.dir);
  if (!d->q.split) strerr_diefusys(EXIT_TEMPORARY, "find ", home_dir(), "/queue/mess/0");
  if (!ids_open(&d->q)) strerr_diefusys(EXIT_TEMPORARY, "read ", home_dir(), "/queue");
  d->q.pool = pool_new(d->q.dir, d->q.settings.pool_files);
  if (!d->q.pool)
    strerr_diefusys(EXIT_TEMPORARY, "open ", home_dir(), "/queue/" FREELIST_NAME);
}

static void listen_on_socket(struct queued *d)
{
  struct sockaddr_un const sa = { .sun_family = AF_UNIX, .sun_path = QUEUEWIRE_SOCKET };
  if (!home_enter()) strerr_diefusys(EXIT_TEMPORARY, "enter ", home_dir());
  unlink(QUEUEWIRE_SOCKET);
  d->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  mode_t mask = umask(0111);
  if (d->listener == -1 || bind(d->listener, (struct sockaddr const *)&sa, sizeof sa) == -1 ||
      listen(d->listener, BACKLOG) == -1)
    strerr_diefusys(EXIT_TEMPORARY, "listen on ", home_dir(), "/" QUEUEWIRE_SOCKET);
  umask(mask);
}

static void log_status(struct queued const *d, char const *what)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "queued: ");
  logline_text(&l, what);
  logline_keyn(&l, "connections", d->children.n);
  logline_write(&l);
}

/* What a child of either kind does first. */
static void become_child(struct queued *d)
{
  selfpipe_finish();
  sig_altignore(SIGHUP);
  fd_close(d->listener);
  fd_close(d->lock);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != d->self) _exit(0); /* it died before it could signal */
}

static void start_filler(struct queued *d)
{
  d->filler = fork();
  if (d->filler == -1) {
    d->filler = 0;
    tain_addsec_g(&d->refill, REFILL_SECONDS);
  } else if (!d->filler) {
    become_child(d);
    pool_fill(&d->q);
  }
}

/* Log refusals, not more than one line a second. */
static void log_refusal(struct queued *d, uid_t uid, char const *why)
{
  struct logline l = LOGLINE_ZERO;
  d->refused++;
  if (tain_future(&d->say)) return;
  logline_text(&l, "warning: queued: connection refused");
  logline_keyn(&l, "uid", uid);
  logline_key(&l, "reason", why);
  logline_keyn(&l, "count", d->refused);
  logline_write(&l);
  d->refused = 0;
  tain_addsec_g(&d->say, SAY_SECONDS);
}

static void serve(struct queued *d, int sock)
{
  struct ucred peer;
  socklen_t len = sizeof peer;
  if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1) return;
  char const *why = children_full(&d->children, &d->q, peer.uid);
  if (!why && !children_ready(&d->children)) why = "out of memory";
  pid_t pid = why ? -1 : fork();
  if (!pid) {
    become_child(d);
    session_run(sock, peer.uid, &d->q);
  }
  if (pid > 0) {
    children_add(&d->children, pid, peer.uid);
    return;
  }
  if (!why) why = "no process for this connection";
  session_refuse(sock, why);
  log_refusal(d, peer.uid, why);
}

static void take_connections(struct queued *d)
{
  for (;;) {
    int sock = accept4(d->listener, 0, 0, SOCK_CLOEXEC);
    if (sock == -1) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return;
      queue_alert("cannot accept connections");
      tain_addsec_g(&d->resume, PAUSE_SECONDS);
      return;
    }
    serve(d, sock);
    fd_close(sock);
  }
}

static void reap(struct queued *d)
{
  int status;
  for (pid_t pid; (pid = wait_nohang(&status)) > 0;) {
    if (pid == d->filler) {
      d->filler = 0;
      tain_addsec_g(&d->refill, REFILL_SECONDS);
    } else {
      children_remove(&d->children, pid);
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGTERM) {
      struct logline l = LOGLINE_ZERO;
      logline_text(&l, "alert: queued: a child was killed");
      logline_keyn(&l, "pid", (uint64_t)pid);
      logline_keyn(&l, "signal", (uint64_t)WTERMSIG(status));
      logline_write(&l);
    }
  }
}

static void stop(struct queued *d)
{
  if (d->stopping) return;
  d->stopping = 1;
  log_status(d, "stopping");
  fd_close(d->listener);
  d->listener = -1;
  if (d->filler) kill(d->filler, SIGTERM);
  children_kill(&d->children, SIGTERM);
  tain_addsec_g(&d->resume, STOP_SECONDS);
}

static void reread(struct queued *d)
{
  if (!settings_read(&d->q.settings)) {
    struct logline l = LOGLINE_ZERO;
    logline_text(&l, "alert: queued: the old settings stay");
    logline_key(&l, "error", control_why());
    logline_write(&l);
    return;
  }
  if (d->filler) kill(d->filler, SIGTERM); /* its successor has the new ones */
  log_status(d, "settings read");
}

static void on_signals(struct queued *d)
{
  for (int sig; (sig = signals_next()) > 0;) {
    if (sig == SIGCHLD) reap(d);
    else if (sig == SIGTERM) stop(d);
    else if (sig == SIGHUP && !d->stopping) reread(d);
  }
}

static void run(struct queued *d, int signals)
{
  iopause_fd x[2] = { { .fd = signals, .events = IOPAUSE_READ },
                      { .fd = d->listener, .events = IOPAUSE_READ } };
  while (!d->stopping || (d->children.n && tain_future(&d->resume))) {
    tain deadline;
    tain_add_g(&deadline, &tain_infinite_relative);
    int paused = d->stopping || tain_future(&d->resume);
    if (paused) deadline = d->resume;
    if (!d->stopping && !d->filler) {
      if (!tain_future(&d->refill)) start_filler(d);
      if (!d->filler && tain_less(&d->refill, &deadline)) deadline = d->refill;
    }
    int r = iopause_g(x, paused ? 1 : 2, &deadline);
    if (r == -1) strerr_diefusys(EXIT_TEMPORARY, "wait");
    if (r > 0 && x[0].revents) on_signals(d);
    if (r > 0 && !paused && !d->stopping && x[1].revents) take_connections(d);
  }
}

static int set_signals(void)
{
  int fd = selfpipe_init();
  if (fd == -1 || !selfpipe_trap(SIGTERM) || !selfpipe_trap(SIGHUP) || !selfpipe_trap(SIGCHLD))
    strerr_diefusys(EXIT_TEMPORARY, "catch signals");
  sig_altignore(SIGIO);   /* somebody opens a file while a lease on it is tried */
  return fd;
}

static void prepare(struct queued *d)
{
  if (!accounts_load(&d->q.accounts) || !accounts_become(&d->q.accounts, ACCOUNT_QUEUE))
    strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (!priv_limit_memory(MEMORY_MAX)) strerr_diefusys(EXIT_TEMPORARY, "limit my memory");
  if (!settings_read(&d->q.settings)) strerr_dief(EXIT_TEMPORARY, control_why());
  umask(0007);
  open_queue(d);
  listen_on_socket(d);
  if (sandbox_no_exec() == -1) strerr_diefusys(EXIT_TEMPORARY, "limit myself");
  /* What children would otherwise each do: read the time zone, make tables. */
  char date[DATE_MAX];
  date_rfc5322(date, 0);
  crc32c(0, 0, 0);
}

int main(int argc, char const *const *argv)
{
  static struct queued d = { .q = { .settings = SETTINGS_ZERO }, .children = CHILDREN_ZERO };
  unsigned int ready = 0;
  program_start("pipit-queued");
  {
    subgetopt l = SUBGETOPT_ZERO;
    for (int opt; (opt = subgetopt_r(argc, argv, "d:", &l)) != -1;)
      if (opt != 'd' || !uint0_scan(l.arg, &ready) || ready < 3) strerr_dieusage(100, USAGE);
    if (!argc || l.ind < argc) strerr_dieusage(100, USAGE);
  }
  d.self = getpid();
  prepare(&d);
  tain_now_set_stopwatch_g();
  d.refill = d.resume = d.say = STAMP;
  int signals = set_signals();
  log_status(&d, "ready");
  if (ready) program_ready((int)ready);
  run(&d, signals);
  log_status(&d, "stopped");
  return 0;
}
