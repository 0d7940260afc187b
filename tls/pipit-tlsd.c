/* pipit-tlsd.c - speak TLS for the programs of SMTP, so that no other has keys or OpenSSL
 *
 * usage: pipit-tlsd [ -c ] [ -d fd ]
 *        pipit-tlsd -g name file
 *
 * Listens on run/tls of the instance, and serves each connection there with a child of its own
 * (session.c), which has the certificates from this process and can open nothing.
 * Started as root it becomes pipitt, and leaves behind a process that may read key
 * files (loader.c). With -c it is the other side, for pipit-remote: listens on run/tlsc, becomes
 * pipitc, and has no keys, but the CAs that are believed. When a child is killed by a signal, this executes itself anew, for
 * children have its addresses: whoever guesses at them would otherwise have many tries.
 *
 * -c: for TLS servers.
 * -d fd: write a newline to fd and close it once connections are taken.
 * -g name file: make a self-signed certificate for the host <name>, with its key.
 * -r state: for itself, when it executes itself.
 *
 * TERM: take no more connections, and end; sessions go on. HUP: read everything again.
 *
 * exit: 0 after TERM (-g: done), 100 wrong usage, 111 trouble at the start, or the
 * process that reads keys is gone.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/selfpipe.h>
#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "clock.h"
#include "connections.h"
#include "home.h"
#include "localsocket.h"
#include "logline.h"
#include "memory.h"
#include "priv.h"
#include "program.h"
#include "selfsigned.h"
#include "signals.h"
#include "tickets.h"
#include "tlswire.h"

#define USAGE "pipit-tlsd [ -c ] [ -d fd ], or pipit-tlsd -g name file"

#define MEMORY_MAX 536870912 /* bytes of address space */
#define BACKLOG    512
#define PAUSE_MS   1000 /* after a failed wait */

/* --- the loop --- */

static void reap(struct tlsd *d)
{
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == d->context.loader.pid)
      strerr_dief(EXIT_TEMPORARY, "the process that reads keys has ended");
    if (d->sessions) d->sessions--;
    memory_ended(pid, WIFEXITED(status) ? WEXITSTATUS(status) : MEMORY_NOTHING);
    if (!WIFSIGNALED(status) || WTERMSIG(status) == SIGTERM) continue;
    struct logline l = LOGLINE_ZERO;
    logline_text(&l, "pipit-tlsd: alert: session crashed");
    logline_keyn(&l, "pid", (uint64_t)pid);
    logline_keyn(&l, "signal", (uint64_t)WTERMSIG(status));
    logline_write(&l);
    d->crashed = 1;
  }
}

static void take_signals(struct tlsd *d)
{
  for (int sig; (sig = signals_next()) > 0;) {
    if (sig == SIGCHLD) reap(d);
    else if (sig == SIGHUP) connections_refresh(d, 1);
    else d->stopping = 1;
  }
}

static void wait_and_serve(struct tlsd *d)
{
  struct pollfd x[2 + TLSD_WAITING] = { { .fd = d->signals, .events = POLLIN },
                                   { .fd = d->listener, .events = POLLIN } };
  uint64_t now = clock_ms();
  int pause = d->paused_until > now ? (int)(d->paused_until - now) : -1;
  size_t waiting = d->waiting;
  if (pause != -1) x[1].fd = -1;
  for (size_t i = 0; i < waiting; i++)
    x[2 + i] = (struct pollfd){ .fd = d->wait[i], .events = POLLIN };
  if (poll(x, 2 + waiting, pause) == -1 && errno != EINTR) {
    strerr_warnwusys("poll; pausing");
    clock_nap(PAUSE_MS);
    return;
  }
  if (x[0].revents) take_signals(d);
  for (size_t i = waiting; i-- && !d->stopping;) /* from the end: connections_hear() takes its one out */
    if (x[2 + i].revents) connections_hear(d, i);
  if (x[1].revents && !d->stopping) connections_take(d);
}

static int is_client(struct tlsd const *d)
{
  return d->context.role == TLSWIRE_CLIENT;
}

/* Across execve, or not. -1 is no descriptor. */
static int keep_open(int fd, int yes)
{
  return fd == -1 || fcntl(fd, F_SETFD, yes ? 0 : FD_CLOEXEC) == 0;
}

static int keep_all_open(struct tlsd const *d, int yes)
{
  int ok = keep_open(d->listener, yes) && keep_open(d->context.loader.fd, yes);
  for (size_t i = 0; ok && i < d->waiting; i++) ok = keep_open(d->wait[i], yes);
  return ok;
}

/* Would a new image find files that it can use, as this one did? */
static int can_begin(struct tlsd const *d)
{
  return !d->context.stale && !d->context.certs.stale;
}

/* Become a new process image, with the same sockets and children. Returns where that is not
 * possible. */
static void execute_anew(struct tlsd *d)
{
  char state[96 + 12 * TLSD_WAITING]; /* numbers of at most eleven bytes */
  struct loader const *l = &d->context.loader;
  int n = snprintf(state, sizeof state, "%d,%d,%ld,%u", d->listener, l->fd, (long)l->pid, d->sessions);
  for (size_t i = 0; i < d->waiting; i++)
    n += snprintf(state + n, sizeof state - (size_t)n, ",%d", d->wait[i]);
  char *argv[] = { (char *)"pipit-tlsd", (char *)"-r", state, is_client(d) ? (char *)"-c" : 0, 0 };
  d->crashed = 0;
  context_changed(&d->context); /* children have the addresses, too */
  if (keep_all_open(d, 1)) execv("/proc/self/exe", argv);
  strerr_warnwusys("execute myself anew");
  keep_all_open(d, 0);
}

/* --- the start --- */

#ifdef __GLIBC__
#define TUNABLES "GLIBC_TUNABLES"

/* The allocator keeps small pieces that were freed, each in a page that then cannot go back: twelve pages for
 * each session that waits. Only an environment at the start tells it not to. */
static void keep_no_pieces(char const *const *argv)
{
  if (getenv(TUNABLES)) return;
  if (setenv(TUNABLES, "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0", 1) == 0)
    execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
}
#else
static void keep_no_pieces(char const *const *argv)
{
  (void)argv;
}
#endif

/* What root is needed for: the loader, and a socket in a directory of pipitq. */
static void start(struct tlsd *d)
{
  struct accounts const *a = &d->accounts;
  char const *path = is_client(d) ? TLSWIRE_CLIENT_SOCKET : TLSWIRE_SOCKET;
  if (!is_client(d) && !loader_start(&d->context.loader, a))
    strerr_diefusys(EXIT_TEMPORARY, "start a process that reads keys");
  d->listener = localsocket_listen(path, BACKLOG, 0660, a->uid[d->self], a->gid[d->asker]);
  if (d->listener == -1) strerr_diefusys(EXIT_TEMPORARY, "listen on ", home_dir(), "/", path);
}

static void start_anew(struct tlsd *d, char const *state)
{
  long pid;
  int n = 0;
  if (sscanf(state, "%d,%d,%ld,%u%n", &d->listener, &d->context.loader.fd, &pid, &d->sessions, &n) != 4)
    strerr_dieusage(EXIT_PERMANENT, USAGE);
  for (int fd, len; d->waiting < TLSD_WAITING && sscanf(state + n, ",%d%n", &fd, &len) == 1; n += len)
    d->wait[d->waiting++] = fd;
  if (!keep_all_open(d, 0)) strerr_dieusage(EXIT_PERMANENT, USAGE);
  d->context.loader.pid = (pid_t)pid;
}

static int catch_signals(void)
{
  int fd = selfpipe_init();
  if (fd == -1 || !selfpipe_trap(SIGCHLD) || !selfpipe_trap(SIGHUP) || !selfpipe_trap(SIGTERM))
    strerr_diefusys(EXIT_TEMPORARY, "catch signals");
  return fd;
}

/* Not dumpable: nobody but root may look into this process or its children: the keys are there. */
static void prepare(struct tlsd *d, char const *state)
{
  prctl(PR_SET_NAME, PROG, 0, 0, 0); /* executed by another name, see keep_no_pieces() */
  if (!home_enter()) strerr_diefusys(EXIT_TEMPORARY, "enter ", home_dir());
  if (!accounts_load(&d->accounts)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (state) start_anew(d, state);
  else start(d);
  if (!accounts_become(&d->accounts, d->self)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 || !priv_no_new_privs())
    strerr_diefusys(EXIT_TEMPORARY, "give up rights");
  if (!priv_limit_memory(MEMORY_MAX)) strerr_diefusys(EXIT_TEMPORARY, "limit my memory");
  d->signals = catch_signals();
  if (!is_client(d) && !tickets_renew()) strerr_dief(EXIT_TEMPORARY, "OpenSSL has no random bytes");
  if (!context_load(&d->context)) _exit(EXIT_TEMPORARY);
  d->checked = clock_ms();
}

static int serve(int client, char const *state, int ready_fd)
{
  static struct tlsd d;
  d.context.loader.fd = -1;
  d.context.role = client ? TLSWIRE_CLIENT : TLSWIRE_SERVER;
  d.self = client ? ACCOUNT_TLSCLIENT : ACCOUNT_TLSSERVER;
  d.asker = client ? ACCOUNT_REMOTE : ACCOUNT_SMTPD;
  prepare(&d, state);
  reap(&d);
  strerr_warni(state ? "begun anew" : "ready");
  if (ready_fd) program_ready(ready_fd);
  while (!d.stopping) {
    if (d.crashed && can_begin(&d)) execute_anew(&d);
    wait_and_serve(&d);
  }
  context_changed(&d.context);
  strerr_warni("stopped");
  return 0;
}

/* A host name, for a certificate: nothing that could be read as something else there. */
static int is_name(char const *s)
{
  size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
  return len && len <= CERTS_NAME_MAX && !s[len];
}

int main(int argc, char const *const *argv)
{
  subgetopt g = SUBGETOPT_ZERO;
  unsigned int ready = 0;
  int client = 0;
  char const *name = 0, *state = 0;
  program_start("pipit-tlsd");
  for (int opt; (opt = subgetopt_r(argc, argv, "cd:g:r:", &g)) != -1;) {
    if (opt == 'g') name = g.arg;
    else if (opt == 'r') state = g.arg;
    else if (opt == 'c') client = 1;
    else if (opt != 'd' || !uint0_scan(g.arg, &ready) || ready < 3)
      strerr_dieusage(EXIT_PERMANENT, USAGE);
  }
  if (!argc || argc - g.ind != (name ? 1 : 0) || (name && (ready || state || client || !is_name(name))))
    strerr_dieusage(EXIT_PERMANENT, USAGE);
  if (name) return selfsigned_make(name, argv[g.ind]) ? 0 : EXIT_TEMPORARY;
  keep_no_pieces(argv);
  return serve(client, state, (int)ready);
}
