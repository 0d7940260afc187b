/* pipit-authd.c - check logins for the servers, and remember what failed
 *
 * usage: pipit-authd [ -d readyfd ] [ -m | -k ] [ -M maildir ] [ -c checks ] [ -C checks ]
 *                    [ -n sessions ] [ -t seconds ] [ checker arg... ]
 *
 * Listens on run/auth (lib/authwire.h). For each login it runs a checkpassword program, without
 * arguments pipit-checkpass. In a privilege-separated instance it is root, because such a program
 * changes user. It looks into nothing that strangers have written; the programs that it
 * starts do.
 *
 * -m, -k: the checker can check CRAM-MD5, and gets the response before (-m) or behind (-k) the
 * challenge. -M: what pipit-pop3d gets as its argument (Maildir). -c, -C, -n: how many checks at
 * once, in all (40) and for one client (8), and how many POP3 sessions (400).
 * -t: seconds that the checker may take (40); then it is killed.
 *
 * Called as pipit-authok or pipit-relayopen it is that program: pipit-relayopen.c.
 *
 * HUP: read control files again. TERM: end; POP3 sessions go on.
 *
 * exit: 0 after TERM, 100 wrong usage, 111 trouble at the start.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/selfpipe.h>
#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "authd.h"
#include "clock.h"
#include "control.h"
#include "home.h"
#include "limits.h"
#include "localsocket.h"
#include "open.h"
#include "pipit-relayopen.h"
#include "priv.h"
#include "program.h"
#include "signals.h"

#define USAGE                                                                                      \
  "pipit-authd [ -d readyfd ] [ -m | -k ] [ -M maildir ] [ -c checks ] [ -C checks ] "           \
  "[ -n sessions ] [ -t seconds ] [ checker arg... ]"

#define MEMORY_MAX 268435456 /* bytes of address space, which programs that it starts do not share */
#define BACKLOG    128
#define CHECK_MS   1000 /* how often control files are looked at for changes, while there is work */
#define DELAY_MAX  60
#define PAUSE_MS   1000

static char const *const files[] = { "authdelay", "loginlimits", "relayopentime", "relayopenusers", 0 };

/* --- settings --- */

static int load(struct authd *d)
{
  d->stamp = control_stamp(files);
  d->checked = clock_ms();
  unsigned long delay = 1;
  if (control_number("authdelay", &delay, DELAY_MAX) == -1 || !limits_load() || !open_load()) return 0;
  d->delay = delay;
  return 1;
}

/* Others may log in while somebody edits: the old settings stay. */
static void refresh(struct authd *d, int always)
{
  if (!always && (clock_ms() - d->checked < CHECK_MS || control_stamp(files) == d->stamp)) return;
  if (!load(d)) strerr_warnw(control_why(), "; the old settings stay");
}

/* --- the loop --- */

static void take_signals(struct authd *d)
{
  int status;
  for (int sig; (sig = signals_next()) > 0;) {
    if (sig == SIGHUP) refresh(d, 1);
    else if (sig == SIGTERM) d->stopping = 1;
    else
      for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) asker_exited(d, pid, status);
  }
}

/* What is open only: poll() takes no more entries than this process may have descriptors. Three for
 * each asker: its connection, its program's socket, its mark. */
#define FIRST 3
enum { CONNECTION, SCRAM, MARK, EACH };
static struct pollfd fds[FIRST + EACH * AUTHD_ASKERS];
static size_t nfds;
static size_t place[AUTHD_ASKERS][EACH]; /* in fds; 0: it has none */

static size_t watch(int fd)
{
  if (fd == -1) return 0;
  fds[nfds] = (struct pollfd){ .fd = fd, .events = POLLIN };
  return nfds++;
}

static int fill(struct authd *d, uint64_t now)
{
  uint64_t next = d->paused_until > now ? d->paused_until : UINT64_MAX;
  int listen = d->paused_until <= now;
  fds[0] = (struct pollfd){ .fd = d->signals, .events = POLLIN };
  fds[1] = (struct pollfd){ .fd = listen ? d->listener : -1, .events = POLLIN };
  fds[2] = (struct pollfd){ .fd = listen ? d->open_listener : -1, .events = POLLIN };
  nfds = FIRST;
  for (size_t i = 0; i < AUTHD_ASKERS; i++) {
    struct asker const *a = &d->askers[i];
    int used = a->state != ASKER_FREE;
    place[i][CONNECTION] = watch(used ? a->fd : -1);
    place[i][SCRAM] = watch(used ? a->scram : -1);
    place[i][MARK] = watch(used ? a->mark : -1);
    if (used && a->end < next) next = a->end;
  }
  if (next == UINT64_MAX) return -1;
  return next <= now ? 0 : next - now > 60000 ? 60000 : (int)(next - now);
}

static int has_event(size_t asker, int which)
{
  size_t at = place[asker][which];
  return at && fds[at].revents;
}

static void serve_askers(struct authd *d)
{
  uint64_t now = clock_ms();
  for (size_t i = 0; i < AUTHD_ASKERS; i++) {
    struct asker *a = &d->askers[i];
    if (a->state != ASKER_FREE && has_event(i, SCRAM) && a->scram != -1) asker_hear_program(d, a);
    if (a->state != ASKER_FREE && has_event(i, MARK) && a->mark != -1) asker_mark(d, a);
    if (a->state != ASKER_FREE && has_event(i, CONNECTION)) asker_hear(d, a);
    if (a->state != ASKER_FREE) asker_time(d, a, now);
  }
}

static void wait_and_serve(struct authd *d)
{
  int wait = fill(d, clock_ms());
  if (poll(fds, nfds, wait) == -1 && errno != EINTR) {
    strerr_warnwusys("poll; pausing");
    clock_nap(PAUSE_MS);
    return;
  }
  refresh(d, 0);
  serve_askers(d);
  if (fds[0].revents) take_signals(d);
  if (fds[1].revents && !d->stopping) asker_accept(d, d->listener, 0);
  if (fds[2].revents && !d->stopping) asker_accept(d, d->open_listener, 1);
}

/* --- the start --- */

static int listen_on(struct authd const *d, char const *name, mode_t mode)
{
  struct accounts const *a = &d->accounts;
  int fd = localsocket_listen(name, BACKLOG, mode, a->uid[ACCOUNT_SMTPD], a->gid[ACCOUNT_SMTPD]);
  if (fd == -1) strerr_diefusys(EXIT_TEMPORARY, "listen on ", home_dir(), "/", name);
  return fd;
}

static void prepare(struct authd *d)
{
  if (!home_enter()) strerr_diefusys(EXIT_TEMPORARY, "enter ", home_dir());
  if (!accounts_load(&d->accounts)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (d->accounts.separated && geteuid())
    strerr_dief(EXIT_TEMPORARY, "only root can become the users that log in here");
  if (!d->accounts.separated && !accounts_become(&d->accounts, ACCOUNT_SMTPD))
    strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 || !priv_limit_memory(MEMORY_MAX))
    strerr_diefusys(EXIT_TEMPORARY, "limit myself");
  if (!load(d)) strerr_dief(EXIT_TEMPORARY, control_why());
  d->listener = listen_on(d, AUTHWIRE_SOCKET, 0660);
  d->open_listener = open_time() ? listen_on(d, AUTHWIRE_OPEN_SOCKET, 0666) : -1;
  d->signals = selfpipe_init();
  if (d->signals == -1 || !selfpipe_trap(SIGCHLD) || !selfpipe_trap(SIGHUP) || !selfpipe_trap(SIGTERM))
    strerr_diefusys(EXIT_TEMPORARY, "catch signals");
}

static unsigned int number(char const *s, unsigned int min, unsigned int max)
{
  unsigned int n;
  if (!uint0_scan(s, &n) || n < min || n > max) strerr_dieusage(EXIT_PERMANENT, USAGE);
  return n;
}

static int read_options(struct authd *d, int argc, char const *const *argv)
{
  static char *own[2];
  subgetopt g = SUBGETOPT_ZERO;
  int ready = -1;
  for (int opt; (opt = subgetopt_r(argc, argv, "d:mkM:c:C:n:t:", &g)) != -1;)
    switch (opt) {
      case 'd': ready = (int)number(g.arg, 3, 65535); break;
      case 'm':
      case 'k':
        d->mechanisms |= AUTHWIRE_HAS_CRAM;
        d->challenge_first = opt == 'k';
        break;
      case 'M': d->maildir = g.arg; break;
      case 'c': d->checks = number(g.arg, 1, 200); break;
      case 'C': d->checks_per_client = number(g.arg, 1, 200); break;
      case 'n': d->sessions = number(g.arg, 0, AUTHD_ASKERS - 200); break;
      case 't': d->check_s = number(g.arg, 1, AUTHD_CHECK_S_MAX); break;
      default: strerr_dieusage(EXIT_PERMANENT, USAGE);
    }
  if (argc - g.ind > AUTHD_ARGS) strerr_dieusage(EXIT_PERMANENT, USAGE);
  d->checker = (char *const *)argv + g.ind;
  if (g.ind < argc) return ready;
  own[0] = strdup(home_program("pipit-checkpass"));
  if (!own[0]) strerr_diefusys(EXIT_TEMPORARY, "start");
  d->checker = own;
  d->own_checker = 1;
  return ready;
}

static int authd_main(int argc, char const *const *argv)
{
  static struct authd d; /* set up here, so that its size is not the program's */
  d.maildir = "Maildir";
  d.checks = 40;
  d.checks_per_client = 8;
  d.sessions = 400;
  d.check_s = AUTHD_CHECK_S;
  d.mechanisms = AUTHWIRE_HAS_PLAIN;
  int ready = read_options(&d, argc, argv);
  prepare(&d);
  strerr_warni("ready");
  if (ready != -1) program_ready(ready);
  while (!d.stopping) wait_and_serve(&d);
  strerr_warni("stopped");
  return 0;
}

static struct names const programs[] = {
    {"authd", authd_main},
    {"authok", authok_main},
    {"relayopen", relayopen_main},
};

int main(int argc, char const *const *argv)
{
  return names_run("pipit-authd", programs, sizeof programs / sizeof *programs, argc, argv);
}
