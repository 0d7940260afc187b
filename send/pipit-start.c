/* pipit-start.c - start the scheduler with its two spawners: qmail-start's interface
 *
 * usage: pipit-start [ -d fd ] [ defaultdelivery [ logger arg ... ] ]
 *
 * Makes nameless socketpairs, starts pipit-lspawn (as root), pipit-rspawn and
 * the logger under their accounts, and becomes pipit-send. With a logger,
 * descriptor 2 of all of them is a pipe to it. In a one-account instance all
 * run as that account. -d: pipit-send writes a newline to <fd> when it is ready.
 * Called as qmail-start, it gives pipit-send the name qmail-send, under which
 * scripts look for it.
 *
 * exit: what pipit-send exits with; 100 wrong usage; 111 trouble.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/djbunix.h>
#include <skalibs/sgetopt.h>
#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "accounts.h"
#include "control.h"
#include "home.h"
#include "pipit-start.h"
#include "program.h"

#define USAGE          "pipit-start [ -d fd ] [ defaultdelivery [ logger arg ... ] ]"
#define DELIVERY       "./Maildir/"
#define LSPAWN_FD      3 /* of pipit-send */
#define RSPAWN_FD      4
#define FD_ABOVE       10 /* what we make lies here, out of the way of 3 and 4 */

struct start {
  struct accounts accounts;
  char const *delivery;
  char const *const *logger; /* NULL: none */
  int readyfd;               /* -1: none */
  int as_qmail;              /* called as qmail-start */
  int lspawn[2], rspawn[2];  /* our side (send's), theirs */
  int log[2];
};

/* Move <fd> out of the way of those that children get; it closes on exec. */
static int lift(int fd)
{
  int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_ABOVE);
  if (high == -1) strerr_diefusys(EXIT_TEMPORARY, "duplicate a descriptor");
  close(fd);
  return high;
}

static void make_pair(int p[2])
{
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p) == -1)
    strerr_diefusys(EXIT_TEMPORARY, "make a socketpair");
  p[0] = lift(p[0]);
  p[1] = lift(p[1]);
}

static void make_log(int p[2])
{
  if (pipe(p) == -1) strerr_diefusys(EXIT_TEMPORARY, "make a pipe");
  p[0] = lift(p[0]);
  p[1] = lift(p[1]);
}

static void set_fd(int to, int from)
{
  if (dup2(from, to) == -1) _exit(EXIT_TEMPORARY);
}

static void run(char const *program, char const *const *argv) __attribute__((noreturn));
static void run(char const *program, char const *const *argv)
{
  execvp(program, (char *const *)argv);
  strerr_diefusys(EXIT_TEMPORARY, "run ", program);
}

static void become(struct start const *s, enum account which)
{
  if (!accounts_become(&s->accounts, which)) strerr_dief(EXIT_TEMPORARY, accounts_why());
}

static pid_t fork_or_die(void)
{
  pid_t pid = fork();
  if (pid == -1) strerr_diefusys(EXIT_TEMPORARY, "fork");
  return pid;
}

static void no_ready_fd(struct start const *s)
{
  if (s->readyfd != -1) fcntl(s->readyfd, F_SETFD, FD_CLOEXEC);
}

/* The logger gets the pipe, and the log that we were started with. */
static void start_logger(struct start const *s)
{
  if (fork_or_die()) return;
  set_fd(0, s->log[0]);
  no_ready_fd(s);
  become(s, ACCOUNT_LOG);
  run(s->logger[0], s->logger);
}

/* lspawn stays root where it can: it becomes the user that mail is for. */
static void start_lspawn(struct start const *s)
{
  char const *const argv[] = { home_program("pipit-lspawn"), s->delivery, 0 };
  if (fork_or_die()) return;
  set_fd(0, s->lspawn[1]);
  no_ready_fd(s);
  if (!s->accounts.separated) become(s, ACCOUNT_SEND);
  run(argv[0], argv);
}

static void start_rspawn(struct start const *s)
{
  char const *const argv[] = { home_program("pipit-rspawn"), 0 };
  if (fork_or_die()) return;
  set_fd(0, s->rspawn[1]);
  no_ready_fd(s);
  become(s, ACCOUNT_REMOTE);
  run(argv[0], argv);
}

/* The ready descriptor moves away when it is one of those that send gets. */
static void become_send(struct start *s) __attribute__((noreturn));
static void become_send(struct start *s)
{
  char fmt[UINT_FMT];
  char const *program = home_program("pipit-send");
  char const *argv[] = { s->as_qmail ? PROGRAM_QMAIL_SEND : program, "-d", fmt, 0 };
  int fd = s->readyfd;
  if (fd == LSPAWN_FD || fd == RSPAWN_FD) {
    fd = fcntl(fd, F_DUPFD, RSPAWN_FD + 1);
    if (fd == -1) strerr_diefusys(EXIT_TEMPORARY, "duplicate a descriptor");
  }
  if (fd == -1) argv[1] = 0;
  else fmt[uint_fmt(fmt, (unsigned int)fd)] = 0;
  set_fd(LSPAWN_FD, s->lspawn[0]);
  set_fd(RSPAWN_FD, s->rspawn[0]);
  become(s, ACCOUNT_SEND);
  run(program, argv);
}

/* Without an argument: control/defaultdelivery, else a Maildir. */
static char const *default_delivery(void)
{
  static stralloc sa = STRALLOC_ZERO;
  int r = control_line("defaultdelivery", &sa);
  if (r == -1) strerr_dief(EXIT_TEMPORARY, control_why());
  return r && sa.len ? sa.s : DELIVERY;
}

static int options(int argc, char const *const *argv, struct start *s)
{
  subgetopt l = SUBGETOPT_ZERO;
  unsigned int fd;
  s->readyfd = -1;
  for (int opt; (opt = subgetopt_r(argc, argv, "d:", &l)) != -1;) {
    if (opt != 'd' || !uint0_scan(l.arg, &fd) || fd < 3 || fd >= FD_ABOVE)
      strerr_dieusage(EXIT_PERMANENT, USAGE);
    s->readyfd = (int)fd;
  }
  return l.ind;
}

int start_main(int argc, char const *const *argv)
{
  struct start s = { .logger = 0 };
  program_start("pipit-start");
  if (!argc) strerr_dieusage(EXIT_PERMANENT, USAGE);
  s.as_qmail = !strcmp(program_called(argv[0]), "qmail-start");
  int used = options(argc, argv, &s);
  if (used < argc && *argv[used]) s.delivery = argv[used];
  if (used + 1 < argc) s.logger = argv + used + 1;
  if (!accounts_load(&s.accounts)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (s.accounts.separated && geteuid())
    strerr_dief(EXIT_TEMPORARY, "start this as root: deliveries run as the user that mail is for");
  if (!s.delivery) s.delivery = default_delivery();
  make_pair(s.lspawn);
  make_pair(s.rspawn);
  if (s.logger) {
    make_log(s.log);
    start_logger(&s);
    set_fd(2, s.log[1]);
  }
  start_lspawn(&s);
  start_rspawn(&s);
  become_send(&s);
}
