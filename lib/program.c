/* program.c - what every program does first; see program.h */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>
#include <skalibs/sgetopt.h>
#include <skalibs/sig.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "program.h"

#define READY_MAX 65535 /* the highest descriptor that -d names */

int program_plug(int fd)
{
  if (fcntl(fd, F_GETFD) != -1) return 1;
  int null = open("/dev/null", fd ? O_RDWR : O_WRONLY, 0);
  if (null == -1) return 0;
  if (null == fd) return 1;
  return fd_move(fd, null) != -1;
}

char const *program_called(char const *argv0)
{
  char const *slash = argv0 ? strrchr(argv0, '/') : 0;
  return slash ? slash + 1 : argv0 ? argv0 : "";
}

void program_start(char const *name)
{
  PROG = name;
  for (int fd = 0; fd <= 2; fd++)
    if (!program_plug(fd)) _exit(EXIT_TEMPORARY);
  sig_altignore(SIGPIPE);
  sig_altignore(SIGXFSZ);
  sig_restore(SIGCHLD);
  umask(077);
}

void program_ready(int fd)
{
  if (fd < 0 || fcntl(fd, F_GETFD) == -1) return;
  (void)!fd_write(fd, "\n", 1);
  fd_close(fd);
}

#ifdef __SANITIZE_ADDRESS__
/* A program that exits need not free its memory; services have no ASAN_OPTIONS. */
char const *__asan_default_options(void);
char const *__asan_default_options(void)
{
  return "detect_leaks=0:abort_on_error=1";
}
#endif

int program_only_ready(int argc, char const *const *argv, char const *usage)
{
  subgetopt g = SUBGETOPT_ZERO;
  unsigned int fd;
  int ready = -1;
  for (int opt; (opt = subgetopt_r(argc, argv, "d:", &g)) != -1;) {
    if (opt != 'd' || !uint0_scan(g.arg, &fd) || fd < 3 || fd > READY_MAX)
      strerr_dieusage(EXIT_PERMANENT, usage);
    ready = (int)fd;
  }
  if (!argc || g.ind < argc) strerr_dieusage(EXIT_PERMANENT, usage);
  return ready;
}
