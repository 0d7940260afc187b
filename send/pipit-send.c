/* pipit-send.c - the scheduler: takes what is queued, and has it delivered
 *
 * usage: pipit-send [ -d fd ]
 *
 * Descriptor 3 is a socket to pipit-lspawn, 4 one to pipit-rspawn; pipit-start
 * makes them. -d: write a newline to <fd> when ready. One event loop; what
 * touches the disk or copies messages is done by two children, keeper and
 * feeder. HUP reads control files again, ALRM tries everything now, TERM
 * finishes what runs and stops. The tools command it over queue/lock/control.
 *
 * exit: 0 after TERM; 100 wrong usage; 111 trouble, start again later.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/selfpipe.h>
#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "accounts.h"
#include "clock.h"
#include "control.h"
#include "home.h"
#include "log.h"
#include "logline.h"
#include "priv.h"
#include "program.h"
#include "sandbox.h"
#include "send.h"
#include "signals.h"

#define USAGE        "pipit-send [ -d fd ]"
#define LSPAWN_FD    3
#define RSPAWN_FD    4
#define SEND_MEMORY  ((size_t)512 << 20) /* bytes of address space, also for the keeper */
#define LOCK_WAIT    3000 /* milliseconds that an old keeper has to finish */
#define LOCK_STEP    50
#define MUTEX_NAME   "lock/sendmutex"

static void cannot_start(char const *why) __attribute__((noreturn));
static void cannot_start(char const *why)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "alert: cannot start: ");
  logline_text(&l, why);
  logline_write(&l);
  _exit(EXIT_TEMPORARY);
}

static void cannot_start_sys(char const *why) __attribute__((noreturn));
static void cannot_start_sys(char const *why)
{
  struct logline l = LOGLINE_ZERO;
  char const *error = strerror(errno);
  logline_text(&l, "alert: cannot start: ");
  logline_text(&l, why);
  logline_key(&l, "error", error);
  logline_write(&l);
  _exit(EXIT_TEMPORARY);
}

/* There is one send in a queue. The lock outlives send while its keeper runs. */
static int lock_queue(int queuefd)
{
  int fd = openat(queuefd, MUTEX_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  uint64_t deadline = clock_ms() + LOCK_WAIT;
  struct timespec nap = { .tv_nsec = LOCK_STEP * 1000000 };
  if (fd == -1) cannot_start_sys("unable to open mutex");
  while (flock(fd, LOCK_EX | LOCK_NB) == -1) {
    if (errno != EWOULDBLOCK && errno != EINTR) cannot_start_sys("unable to lock mutex");
    if (clock_ms() >= deadline) cannot_start("pipit-send is already running");
    nanosleep(&nap, 0);
  }
  return fd;
}

static int is_open(int fd)
{
  return fcntl(fd, F_GETFD) != -1;
}

static void init_spawners(struct send *s)
{
  s->spawners[CHANNEL_LOCAL].fd = LSPAWN_FD;
  s->spawners[CHANNEL_REMOTE].fd = RSPAWN_FD;
  for (int c = 0; c < CHANNELS; c++) {
    s->spawners[c].channel = (enum channel)c;
    if (!is_open(s->spawners[c].fd))
      cannot_start("descriptors 3 and 4 are not open; pipit-start runs this program");
    fcntl(s->spawners[c].fd, F_SETFD, FD_CLOEXEC);
  }
}

static void become(struct accounts *a)
{
  if (!accounts_load(a) || !accounts_become(a, ACCOUNT_SEND)) cannot_start(accounts_why());
  if (!priv_limit_memory(SEND_MEMORY)) cannot_start_sys("unable to limit memory");
}

static int open_queue(void)
{
  int home = home_fd();
  int fd = home == -1 ? -1 : openat(home, "queue", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd == -1) cannot_start_sys("unable to switch to queue directory");
  return fd;
}

static int init_signals(void)
{
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGALRM);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGCHLD);
  int fd = selfpipe_init();
  if (fd == -1 || !selfpipe_trapset(&set)) cannot_start_sys("unable to trap signals");
  return fd;
}

/* Children are forked before anything is loaded. */
static struct send *init(int readyfd)
{
  struct accounts a;
  struct dest_rules rules = DEST_RULES_ZERO;
  char const *why;
  struct send *s = calloc(1, sizeof *s);
  if (!s || !(s->packet = malloc(sizeof *s->packet))) cannot_start("out of memory");
  s->readyfd = readyfd;
  s->keeper = (struct keeper_link)KEEPER_LINK_ZERO;
  s->feeder = s->trigger = s->trigger_writer = -1;
  s->run = clock_wall_us();
  init_spawners(s);
  become(&a);
  s->queuefd = open_queue();
  s->split = qfile_split(s->queuefd);
  if (!s->split) cannot_start_sys("unable to count the directories of queue/mess");
  s->lockfd = lock_queue(s->queuefd);
  if (!settings_load(&s->settings) || !rewrite_load(&s->routes)) cannot_start(control_why());
  if (!dest_rules_load(&rules, &why)) cannot_start(why);
  dests_obey(&s->dests, &rules);
  umask(007);
  if (!trigger_open(s)) cannot_start_sys("unable to open trigger");
  if (!scan_init(s)) cannot_start("out of memory");
  if (!command_init(s, a.separated, &why)) cannot_start_sys(why);
  s->signals = init_signals();
  if (sandbox_no_exec() == -1) cannot_start_sys("unable to give up execution");
  if (!children_start(s)) cannot_start_sys("unable to fork");
  return s;
}

/* Everything is read before anything is changed. */
static void reread(struct send *s)
{
  struct settings fresh = SETTINGS_ZERO;
  struct dest_rules rules = DEST_RULES_ZERO;
  char const *why = 0;
  if (!settings_load(&fresh)) why = control_why();
  if (!why && dest_rules_load(&rules, &why) && !rewrite_load(&s->routes)) why = control_why();
  if (!why) {
    settings_free(&s->settings);
    s->settings = fresh;
    dests_obey(&s->dests, &rules);
    return;
  }
  settings_free(&fresh);
  dest_rules_free(&rules);
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "alert: unable to reread controls, keeping the old values: ");
  logline_text(&l, why);
  logline_write(&l);
}

static void obey_signals(struct send *s)
{
  for (int sig; (sig = signals_next()) > 0;) {
    switch (sig) {
    case SIGHUP: reread(s); break;
    case SIGALRM: message_hurry(s, 0); break;
    case SIGCHLD: children_reap(s); break;
    case SIGTERM:
      if (s->stopping) break;
      s->stopping = 1;
      s->stop_at = clock_ms() + STOP_WAIT;
      s->status_due = 1;
    }
  }
}

/* Milliseconds until something is due without an event. */
static int wait_time(struct send const *s)
{
  uint64_t now = clock_ms();
  uint64_t wait = s->stopping ? (s->stop_at > now ? s->stop_at - now : 0) : scan_wait(s);
  if (s->later.count && s->active_again < ACTIVE_AGAIN && s->active < ACTIVE_MAX && !s->stopping) {
    uint64_t at = s->later.entries[0].key >> WAIT_SHIFT;
    if (at <= now) at = now;
    if (at - now < wait) wait = at - now;
  }
  if (!s->stopping && command_wait(s) < wait) wait = command_wait(s);
  uint64_t wake = s->dests.groups.wake_at;
  if (wake && !s->stopping) {
    if (wake <= now) wake = now;
    if (wake - now < wait) wait = wake - now;
  }
  if (s->admit_more) wait = 0;
  if ((s->keeper.fd == -1 || s->feeder == -1) && wait > 100) wait = 100;
  return (int)(wait < 60000 ? wait : 60000);
}

enum { P_SIGNAL, P_LSPAWN, P_RSPAWN, P_TRIGGER, P_KEEPER, P_FEEDER, P_COMMAND,
       P_COUNT = P_COMMAND + COMMAND_FDS };

static void prepare(struct send const *s, struct pollfd p[P_COUNT])
{
  struct spawner const *sp = s->spawners;
  int const stalled = sp[CHANNEL_LOCAL].stalled;
  p[P_SIGNAL] = (struct pollfd){ s->signals, POLLIN, 0 };
  for (int c = 0; c < CHANNELS; c++)
    p[P_LSPAWN + c] = (struct pollfd){ sp[c].fd, sp[c].blocked ? POLLIN | POLLOUT : POLLIN, 0 };
  p[P_TRIGGER] = (struct pollfd){ s->stopping ? -1 : s->trigger, POLLIN, 0 };
  p[P_KEEPER] = (struct pollfd){ s->keeper.fd, s->keeper.blocked ? POLLIN | POLLOUT : POLLIN, 0 };
  p[P_FEEDER] = (struct pollfd){ stalled ? s->feeder : -1, POLLOUT, 0 };
  command_poll(s, p + P_COMMAND);
}

static void obey(struct send *s, struct pollfd const p[P_COUNT])
{
  if (p[P_SIGNAL].revents) obey_signals(s);
  for (int c = 0; c < CHANNELS; c++) {
    struct spawner *sp = s->spawners + c;
    if (p[P_LSPAWN + c].revents & POLLOUT) sp->blocked = 0;
    if (p[P_LSPAWN + c].revents & ~POLLOUT && !deliver_read(s, sp)) s->lost = 1;
  }
  if (p[P_TRIGGER].revents) trigger_read(s);
  if (p[P_KEEPER].revents & POLLOUT) keeper_push(&s->keeper);
  if (p[P_KEEPER].revents & ~POLLOUT && p[P_KEEPER].fd == s->keeper.fd) keeper_obey(s);
  if (p[P_FEEDER].revents) s->spawners[CHANNEL_LOCAL].stalled = 0;
  command_obey(s, p + P_COMMAND);
}

static void work(struct send *s)
{
  children_mend(s);
  if (!s->stopping && !s->lost) {
    scan_turn(s);
    command_turn(s);
    groups_wake(&s->dests.groups, clock_ms());
    message_admit(s);
    load_hungry(s);
    deliver_start(s);
  }
  if (s->status_due) log_status(s);
  s->status_due = 0;
}

static int is_over(struct send const *s)
{
  uint32_t inflight = s->spawners[CHANNEL_LOCAL].inflight + s->spawners[CHANNEL_REMOTE].inflight;
  return s->lost || (s->stopping && (!inflight || clock_ms() >= s->stop_at));
}

static void run(struct send *s)
{
  log_status(s);
  while (work(s), !is_over(s)) {
    struct pollfd p[P_COUNT];
    prepare(s, p);
    if (poll(p, P_COUNT, wait_time(s)) == -1) {
      if (errno == EINTR) continue;
      log_unable("poll", "events");
      return;
    }
    obey(s, p);
  }
}

static int options(int argc, char const *const *argv)
{
  subgetopt l = SUBGETOPT_ZERO;
  unsigned int fd;
  int readyfd = -1;
  for (int opt; (opt = subgetopt_r(argc, argv, "d:", &l)) != -1;) {
    if (opt != 'd' || !uint0_scan(l.arg, &fd) || fd < 3 || fd > 1023)
      strerr_dieusage(EXIT_PERMANENT, USAGE);
    readyfd = (int)fd;
  }
  if (argc > l.ind) strerr_dieusage(EXIT_PERMANENT, USAGE);
  return readyfd;
}

int main(int argc, char const *const *argv)
{
  program_start("pipit-send");
  if (!strcmp(program_called(argv[0]), PROGRAM_QMAIL_SEND)) prctl(PR_SET_NAME, PROGRAM_QMAIL_SEND);
  struct send *s = init(options(argc, argv));
  run(s);
  if (s->lost) log_alert("oh no! lost spawn connection! dying...");
  children_stop(s);
  if (!s->stopping || s->lost) return EXIT_TEMPORARY;
  log_exiting();
  return 0;
}
