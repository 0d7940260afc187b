/* pipit-rcptd.c - tell pipit-smtpd whether a recipient exists
 *
 * usage: pipit-rcptd [-d readyfd]
 *
 * Listens on run/rcptd (lib/rcptwire.h). Started as root in a privilege-separated instance,
 * it binds the socket, forks the two processes that rcptd.h tells of, and has become its own
 * account before anything is read that others write.
 *
 * exit: 0 SIGTERM, 100 wrong usage, 111 local trouble, about which one line is on stderr.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/sig.h>
#include <skalibs/strerr.h>

#include "control.h"
#include "home.h"
#include "localsocket.h"
#include "logline.h"
#include "priv.h"
#include "program.h"
#include "rcptd.h"
#include "sandbox.h"

#define USAGE       "pipit-rcptd [ -d readyfd ]"
#define MEMORY_MAX  536870912 /* bytes of address space: users/cdb and aliases are mapped */
#define MEMORY_LOOK 67108864
#define BACKLOG     128

static void become(struct accounts const *a)
{
  if (!accounts_become(a, ACCOUNT_RCPT)) strerr_dief(EXIT_TEMPORARY, accounts_why());
}

/* --- the processes --- */

/* Become the account with the right to look everywhere, where that can be had and used safely. */
static void be_look(struct accounts const *a)
{
  int guarded = a->separated && !geteuid() && priv_has(CAP_DAC_READ_SEARCH);
  if (!guarded)
    become(a);
  else if (!priv_drop_keeping(a->uid[ACCOUNT_RCPT], a->gid[ACCOUNT_RCPT], CAP_DAC_READ_SEARCH))
    strerr_diefusys(EXIT_TEMPORARY, "become ", account_name(ACCOUNT_RCPT));
  if (!priv_limit_memory(MEMORY_LOOK)) strerr_diefusys(EXIT_TEMPORARY, "limit memory");
  int r = look_confine();
  if (r == -1) strerr_diefusys(EXIT_TEMPORARY, "confine myself");
  if (!r && guarded && !priv_drop_capabilities())
    strerr_diefusys(EXIT_TEMPORARY, "give up capabilities");
  look_run(guarded && r);
}

static void be_passwd(struct accounts const *a)
{
  become(a);
  if (!priv_limit_memory(MEMORY_MAX) || !priv_no_new_privs())
    strerr_diefusys(EXIT_TEMPORARY, "confine myself");
  passwd_run();
}

/* Fork a process that has nothing but its end of a socketpair, on descriptor 0; the other end. */
static int start(struct accounts const *a, void (*be)(struct accounts const *))
{
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1)
    strerr_diefusys(EXIT_TEMPORARY, "make a socket");
  pid_t pid = fork();
  if (pid == -1) strerr_diefusys(EXIT_TEMPORARY, "fork");
  if (pid) {
    close(ends[1]);
    return ends[0];
  }
  if (dup2(ends[1], 0) == -1) strerr_diefusys(EXIT_TEMPORARY, "set up a process");
  close_range(3, ~0U, 0);
  /* They are for the main process: this one ends when that does. */
  sig_altignore(SIGTERM);
  sig_altignore(SIGINT);
  sig_altignore(SIGHUP);
  be(a);
  _exit(0);
}

/* --- the main process --- */

static void listen_on_socket(struct rcptd *d, struct accounts const *a)
{
  struct logline l = LOGLINE_ZERO;
  if (!home_enter()) strerr_diefusys(EXIT_TEMPORARY, "enter ", home_dir());
  d->listener = localsocket_listen(RCPTWIRE_SOCKET, BACKLOG, 0660, a->uid[ACCOUNT_RCPT],
                                   a->gid[ACCOUNT_SMTPD]);
  if (d->listener == -1)
    strerr_diefusys(EXIT_TEMPORARY, "listen on ", home_dir(), "/" RCPTWIRE_SOCKET);
  logline_text(&l, "pipit-rcptd: listening");
  logline_key(&l, "socket", RCPTWIRE_SOCKET);
  logline_write(&l);
}

/* It reads files, and writes to none. */
static void confine(void)
{
  char const *const paths[] = {"/", 0};
  if (!priv_limit_memory(MEMORY_MAX)) strerr_diefusys(EXIT_TEMPORARY, "limit memory");
  if (sandbox_no_exec() == -1 || sandbox_read_only(paths) == -1)
    strerr_diefusys(EXIT_TEMPORARY, "confine myself");
}

static void set_up(struct rcptd *d, struct accounts *a)
{
  if (!accounts_load(a)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (!a->separated) become(a);
  d->judge.accounts = a;
  d->judge.home = realpath(home_dir(), 0);
  if (!d->judge.home) strerr_diefusys(EXIT_TEMPORARY, "find ", home_dir());
  listen_on_socket(d, a);
  d->look = start(a, be_look);
  d->passwd = a->separated ? start(a, be_passwd) : -1;
  become(a);
  confine();
  if (!judge_load(&d->judge)) strerr_dief(EXIT_TEMPORARY, control_why());
}

int main(int argc, char const *const *argv)
{
  static struct rcptd d;
  static struct accounts a;
  program_start("pipit-rcptd");
  d.ready_fd = program_only_ready(argc, argv, USAGE);
  set_up(&d, &a);
  loop_run(&d);
  return 0;
}
