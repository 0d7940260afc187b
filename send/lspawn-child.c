/* lspawn-child.c - a child of pipit-lspawn: becomes the user, and delivers; see lspawn.h */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
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
#include "../local/worker.h"

#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"

static void die(enum lspawn_exit code, char const *what) __attribute__((noreturn));
static void die(enum lspawn_exit code, char const *what)
{
  strerr_warnwusys(what);
  _exit(code);
}

/* A session of its own, so that the loop can end it whole; the signals and the limit of files
 * that lspawn was started with; nothing on 0, the report on 1 and 2. */
static void settle(struct lspawn const *l, int report)
{
  static int const caught[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
  if (dup2(report, 1) == -1 || dup2(report, 2) == -1) _exit(LSPAWN_SYS);
  if (dup2(l->null, 0) == -1) die(LSPAWN_SYS, "let go of pipit-send");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, 0);
  for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) sig_restore(caught[i]);
  if (setsid() == -1) die(LSPAWN_SYS, "make a session");
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
static void look_up(struct lspawn const *l, char const *addr, struct mailuser *u,
                    struct known *found)
{
  static enum lspawn_exit const codes[] = {
      [FINDUSER_OK] = LSPAWN_OK,         [FINDUSER_MAILBOXES] = LSPAWN_MAILBOXES,
      [FINDUSER_CDB] = LSPAWN_CDB,       [FINDUSER_GETPW] = LSPAWN_GETPW,
      [FINDUSER_HOME] = LSPAWN_NFS,      [FINDUSER_ALIAS] = LSPAWN_NOALIAS,
      [FINDUSER_MEMORY] = LSPAWN_NOMEM,
  };
  struct finduser_source const source = {
      .accounts = &l->accounts, .home = l->home, .stamps = l->stamps, .getpw = getpw_find};
  if (l->given.len) {
    struct known const *k = &l->given;
    if (!mailuser_restore(u, k->uid, k->gid, k->text, k->len)) _exit(LSPAWN_NOMEM);
    return;
  }
  enum finduser r = finduser(&source, addr, strlen(addr), u);
  if (r == FINDUSER_NONE) refuse();
  if (r != FINDUSER_OK) _exit(codes[r]);
  if (!l->program) return known_tell(found, u);
  if (!u->delivery) return;
  strerr_warnw("$QMAILLOCAL is set, and such a program knows nothing of users/mailboxes");
  _exit(LSPAWN_MAILBOXES);
}

/* Does the user get the groups that the group database gives him? A mailbox has just its
 * gid, and so has an entry of users/cdb whose user is none of that name here. */
static int has_groups(struct lspawn const *l, struct mailuser const *u)
{
  uid_t uid;
  gid_t gid;
  if (!l->groups || u->delivery) return 0;
  int r = getpw_ids(u->user, &uid, &gid);
  if (r == -1) die(LSPAWN_GETPW, "look up the user's groups");
  return r && uid == u->uid;
}

static void become(struct lspawn const *l, struct mailuser const *u)
{
  if (l->accounts.separated) {
    if (!u->uid || !u->gid) _exit(LSPAWN_ROOT);
    int ok = has_groups(l, u) ? priv_drop_groups(u->user, u->uid, u->gid)
                              : priv_drop(u->uid, u->gid);
    if (!ok) die(LSPAWN_SYS, "become the user");
  }
}

/* Append "name=value" to <env>, when there is a value. */
static void add(char **env, size_t *n, char const *name, char const *value)
{
  if (!value) return;
  if (asprintf(env + *n, "%s=%s", name, value) == -1) strerr_dief(111, "out of memory");
  (*n)++;
}

/* The environment of a delivery: a fixed list, whatever lspawn was started with. */
void lspawn_environment(struct lspawn *l)
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
    strerr_dief(111, "out of memory");
  add(l->env, &n, "PATH", full);
  add(l->env, &n, "PIPIT_HOME", l->home);
  for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
    add(l->env, &n, passed[i], getenv(passed[i]));
  free(full);
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

/* The delivery program of $QMAILLOCAL. */
static void run_program(struct lspawn const *l, struct mailuser const *u, char const *local,
                        char const *domain, struct job const *j, int in) __attribute__((noreturn));
static void run_program(struct lspawn const *l, struct mailuser const *u, char const *local,
                        char const *domain, struct job const *j, int in)
{
  if (in != -1 && (dup2(in, 0) == -1 || ndelay_off(0) == -1)) die(LSPAWN_SYS, "take the message");
  if (!getuid() || !geteuid()) _exit(LSPAWN_ROOT);
  if (chdir(l->home) == -1) die(LSPAWN_SYS, "enter the instance");
  priv_restore_memory();
  char const *args[] = {l->program, "--",   u->user, u->home,    local,
                        u->dash,    u->ext, domain,  j->sender, l->defaultdelivery, 0};
  spool(u, j);
  close_range(3, ~0U, 0);
  execve(l->program, (char *const *)args, (char *const *)l->env);
  die(LSPAWN_EXEC, "run the delivery program");
}

/* Deliver what comes over the socket. A mailbox has no dot-qmail file. */
static void work(struct lspawn const *l, struct mailuser const *u, char const *local,
                 char const *domain, int in) __attribute__((noreturn));
static void work(struct lspawn const *l, struct mailuser const *u, char const *local,
                 char const *domain, int in)
{
  char const *const args[WORKER_ARGS] = {
      u->user, u->home, local, u->dash, u->ext, domain, u->delivery ? u->delivery : l->defaultdelivery};
  struct worker_mailbox const mailbox = {.quota = u->quota};
  munmap(l->shared, l->sharedsize);
  home_close();
  if (in != WORKER_SOCKET && dup3(in, WORKER_SOCKET, O_CLOEXEC) == -1) die(LSPAWN_SYS, "take the message");
  close_range(WORKER_SOCKET + 1, ~0U, 0);
  environ = (char **)l->env;
  prctl(PR_SET_NAME, "pipit-local");
  worker_run(args, u->delivery ? &mailbox : 0);
}

void lspawn_child(struct lspawn const *l, struct job const *j, int in, int report,
                  struct known *found)
{
  struct mailuser u = MAILUSER_ZERO;
  size_t at = address_at(j->rcpts, strlen(j->rcpts));
  settle(l, report);
  char *local = strndup(j->rcpts, at);
  if (!local) die(LSPAWN_NOMEM, "take the address");
  look_up(l, j->rcpts, &u, found);
  become(l, &u);
  if (l->program) run_program(l, &u, local, j->rcpts + at + 1, j, in);
  work(l, &u, local, j->rcpts + at + 1, in);
}
