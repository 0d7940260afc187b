/* checker.c - run a checkpassword program; see checker.h */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/sig.h>

#include "checker.h"
#include "clock.h"
#include "priv.h"
#include "program.h"

#define STEP_MS 500 /* how late a request to stop may be noticed */
#define LOOK_MS 20  /* between two looks at a program that cannot be waited for */

#define VCHKPW_WRONG 3 /* what vchkpw exits with when it refuses */
#define VCHKPW_FIRST 20
#define VCHKPW_LAST  23

int checker_data(char const *s, size_t len)
{
  int p[2];
  if (len > CHECKER_DATA_MAX) return (errno = EMSGSIZE, -1);
  if (pipe2(p, O_CLOEXEC) == -1) return -1;
  size_t n = fd_write(p[1], s, len) == (ssize_t)len ? len : len + 1; /* a pipe has room for it */
  close(p[1]);
  if (n == len) return p[0];
  close(p[0]);
  return (errno = EIO, -1);
}

/* Descriptors 0 to 4, which may be any of each other now: first out of the way. */
static int arrange(int data, int extra, int in, int out)
{
  int from[5] = { in, out, 2, data, extra };
  if (in == -1) from[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (out == -1) from[1] = 2;
  for (int i = 0; i < 5; i++)
    if (i != 2 && from[i] != -1 && (from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 10)) == -1) return 0;
  if (from[0] == -1) return 0;
  for (int i = 0; i < 5; i++)
    if (i != 2 && from[i] != -1 && dup2(from[i], i) == -1) return 0;
  return close_range(extra == -1 ? 4 : 5, ~0U, 0) == 0;
}

static void become(char *const *argv, int data, int extra, int in, int out)
{
  if (!arrange(data, extra, in, out)) _exit(EXIT_TEMPORARY);
  setpgid(0, 0); /* its own children end with it */
  sig_restore(SIGPIPE);
  sig_restore(SIGXFSZ);
  sig_restore(SIGHUP);
  sig_restore(SIGTERM);
  sig_restore(SIGCHLD);
  sig_blocknone();
  priv_restore_memory();
  execvp(argv[0], argv);
  _exit(EXIT_TEMPORARY);
}

pid_t checker_start(char *const *argv, int data, int extra, int in, int out)
{
  pid_t pid = fork();
  if (!pid) become(argv, data, extra, in, out);
  if (pid > 0) setpgid(pid, pid); /* whoever is first */
  return pid;
}

int checker_refused(int code)
{
  return code == CHECKER_REFUSED || code == VCHKPW_WRONG || (code >= VCHKPW_FIRST && code <= VCHKPW_LAST);
}

int checker_wait(pid_t pid, uint64_t end, volatile sig_atomic_t const *stop)
{
  int pidfd = pidfd_open(pid, 0);
  int status;
  pid_t r;
  while ((r = waitpid(pid, &status, WNOHANG)) == 0 || (r == -1 && errno == EINTR)) {
    struct pollfd x = { .fd = pidfd, .events = POLLIN };
    uint64_t now = clock_ms();
    if (now >= end || (stop && *stop)) kill(-pid, SIGKILL);
    int wait = now >= end || pidfd == -1 ? LOOK_MS : end - now < STEP_MS ? (int)(end - now) : STEP_MS;
    poll(&x, 1, wait);
  }
  if (pidfd != -1) close(pidfd);
  return r == pid && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_TEMPORARY;
}
