/* command.c - run a program line; see command.h */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/djbunix.h>
#include <skalibs/sig.h>
#include <skalibs/strerr.h>

#include "command.h"
#include "priv.h"
#include "program.h"
#include "verdict.h"

static void run(int fd, char const *line) __attribute__((noreturn));
static void run(int fd, char const *line)
{
  char const *const argv[] = {"/bin/sh", "-c", line, 0};
  sig_restore(SIGPIPE);
  sig_restore(SIGXFSZ);
  priv_restore_memory();
  if (dup2(fd, 0) == -1)
    strerr_die(EXIT_TEMPORARY, "Unable to set up a program: ", strerror(errno), ". (#4.3.0)");
  execv(argv[0], (char *const *)argv);
  strerr_die(EXIT_TEMPORARY, "Unable to run /bin/sh: ", strerror(errno), ". (#4.3.0)");
}

static int judge(int wstat, struct report *r)
{
  if (WIFSIGNALED(wstat)) return report_fail(r, EXIT_TEMPORARY, "Aack, child crashed. (#4.3.0)");
  int v = verdict(wstat);
  if (!v) return 1;
  return v == VERDICT_STOP ? COMMAND_STOP : report_fail(r, v, "%s", "");
}

int command_run(struct message const *m, char const *line, struct report *r)
{
  int wstat;
  int fd = message_reopen(m);
  if (fd == -1)
    return report_fail(r, EXIT_TEMPORARY, "Unable to reopen message: %s. (#4.3.0)",
                       strerror(errno));
  pid_t pid = fork();
  if (!pid) run(fd, line);
  int e = errno;
  close(fd);
  if (pid == -1) return report_fail(r, EXIT_TEMPORARY, "Unable to fork: %s. (#4.3.0)", strerror(e));
  if (wait_pid(pid, &wstat) == -1)
    return report_fail(r, EXIT_TEMPORARY, "Unable to wait: %s. (#4.3.0)", strerror(errno));
  return judge(wstat, r);
}
