/* lspawn-child.c - a child of pipit-lspawn: becomes the user and executes
 * pipit-local; see lspawn.h
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>
#include <skalibs/sig.h>
#include <skalibs/strerr.h>

#include "address.h"
#include "copy.h"
#include "finduser.h"
#include "getpw.h"
#include "home.h"
#include "lspawn.h"
#include "priv.h"
#include "program.h"
#include "spool.h"

#define ENV_MAX      16
#define ARGS_MAX     16
#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"

static void die(enum lspawn_exit code, char const *what) __attribute__((noreturn));
static void die(enum lspawn_exit code, char const *what)
{
  strerr_warnwusys(what);
  _exit(code);
}

/* A session of its own, so that the loop can end it whole; the signals and
 * limits that lspawn was started with; the job on 0, the report on 1 and 2. */
static void settle(struct lspawn const *l, int in, int report)
{
  static int const ignored[] = {SIGPIPE, SIGXFSZ, SIGTERM, SIGINT, SIGHUP};
  if (dup2(report, 1) == -1 || dup2(report, 2) == -1) _exit(LSPAWN_SYS);
  if (in != -1 && (dup2(in, 0) == -1 || ndelay_off(0) == -1)) die(LSPAWN_SYS, "take the message");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, 0);
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) sig_restore(ignored[i]);
  if (setsid() == -1) die(LSPAWN_SYS, "make a session");
  priv_restore_memory();
  if (setrlimit(RLIMIT_NOFILE, &l->files) == -1) die(LSPAWN_SYS, "restore limits");
}

/* What a sender reads of an address without a mailbox. */
static void refuse(void) __attribute__((noreturn));
static void refuse(void)
{
  static char const text[] = "Sorry, no mailbox here by that name. (#5.1.1)\n";
  allwrite(1, text, sizeof text - 1);
  _exit(EXIT_PERMANENT);
}

/* Who gets the mail. */
static void look_up(struct lspawn const *l, char const *addr, struct mailuser *u)
{
  static enum lspawn_exit const codes[] = {
      [FINDUSER_OK] = LSPAWN_OK,         [FINDUSER_MAILBOXES] = LSPAWN_MAILBOXES,
      [FINDUSER_CDB] = LSPAWN_CDB,       [FINDUSER_GETPW] = LSPAWN_GETPW,
      [FINDUSER_HOME] = LSPAWN_NFS,      [FINDUSER_ALIAS] = LSPAWN_NOALIAS,
      [FINDUSER_MEMORY] = LSPAWN_NOMEM,
  };
  struct finduser_source const source = {
      .accounts = &l->accounts, .home = l->home, .stamps = l->stamps, .getpw = getpw_find};
  enum finduser r = finduser(&source, addr, strlen(addr), u);
  if (r == FINDUSER_NONE) refuse();
  if (r != FINDUSER_OK) _exit(codes[r]);
  if (!l->program || !u->delivery) return;
  strerr_warnw("$QMAILLOCAL is set, and such a program knows nothing of users/mailboxes");
  _exit(LSPAWN_MAILBOXES);
}

static void become(struct lspawn const *l, struct mailuser const *u)
{
  if (l->accounts.separated) {
    if (!u->uid || !u->gid) _exit(LSPAWN_ROOT);
    if (!priv_drop(u->uid, u->gid)) die(LSPAWN_SYS, "become the user");
  }
  if (!getuid() || !geteuid()) _exit(LSPAWN_ROOT);
}

/* Append "name=value" to <env>, when there is a value. */
static void add(char **env, size_t *n, char const *name, char const *value)
{
  if (!value) return;
  if (asprintf(env + *n, "%s=%s", name, value) == -1) die(LSPAWN_NOMEM, "build an environment");
  (*n)++;
}

/* The environment of pipit-local: a fixed list, whatever lspawn was started with. */
static void make_environment(struct lspawn const *l, char *env[ENV_MAX])
{
  static char const *const passed[] = {
      "QMAILQUEUE",
      "TZ",
#ifdef __SANITIZE_ADDRESS__
      "ASAN_OPTIONS",
#endif
  };
  char const *path = getenv("PATH");
  char *full;
  size_t n = 0;
  if (asprintf(&full, "%s/bin:%s", l->home, path ? path : PATH_DEFAULT) == -1)
    die(LSPAWN_NOMEM, "build an environment");
  add(env, &n, "PATH", full);
  add(env, &n, "PIPIT_HOME", l->home);
  for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
    add(env, &n, passed[i], getenv(passed[i]));
  env[n] = 0;
}

/* A QMAILLOCAL program knows nothing of lengths and wants a file that it can
 * seek: give it one, and only when the message is whole. */
static void spool(struct mailuser const *u, struct job const *j)
{
  uint64_t copied;
  int fd = spool_open_in(u->home);
  if (fd == -1) die(LSPAWN_SYS, "make a temporary file");
  int ok = j->body ? allwrite(fd, j->body, (size_t)j->length) == j->length
                   : copy_bytes(0, fd, j->length, 0, 0, &copied) == COPY_OK;
  if (!ok) die(LSPAWN_SYS, "copy the message");
  if (lseek(fd, 0, SEEK_SET) == -1 || dup2(fd, 0) == -1) die(LSPAWN_SYS, "rewind the message");
}

/* The arguments of pipit-local as a worker. A mailbox has no dot-qmail file: -M. */
static void worker_arguments(char const *args[ARGS_MAX], char const *program, char const *local,
                             char const *domain, struct mailuser const *u, char const *fallback)
{
  size_t n = 0;
  args[n++] = program;
  args[n++] = "-w";
  if (u->delivery) args[n++] = "-M";
  if (u->delivery && *u->quota) {
    args[n++] = "-q";
    args[n++] = u->quota;
  }
  char const *const rest[] = {"--",   u->user, u->home, local,
                              u->dash, u->ext, domain,  u->delivery ? u->delivery : fallback};
  memcpy(args + n, rest, sizeof rest);
  args[n + sizeof rest / sizeof *rest] = 0;
}

void lspawn_child(struct lspawn const *l, struct job const *j, int in, int report)
{
  struct mailuser u = MAILUSER_ZERO;
  char *env[ENV_MAX];
  size_t at = address_at(j->rcpts, strlen(j->rcpts));
  settle(l, in, report);
  char *local = strndup(j->rcpts, at);
  if (!local) die(LSPAWN_NOMEM, "take the address");
  look_up(l, j->rcpts, &u);
  become(l, &u);
  make_environment(l, env);
  char const *own = home_program("pipit-local");
  char const *domain = j->rcpts + at + 1;
  char const *worker[ARGS_MAX];
  worker_arguments(worker, own, local, domain, &u, l->defaultdelivery);
  char const *once[] = {l->program, "--",  u.user, u.home,    local,
                        u.dash,     u.ext, domain, j->sender, l->defaultdelivery, 0};
  if (l->program) spool(&u, j);
  if (chdir(l->home) == -1) die(LSPAWN_SYS, "enter the instance");
  close_range(3, ~0U, 0);
  execve(l->program ? l->program : own, (char *const *)(l->program ? once : worker), env);
  die(LSPAWN_EXEC, "run the delivery program");
}
