/* child.c - run a program, and give it the message; see helper.h */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>
#include <skalibs/sig.h>
#include <skalibs/strerr.h>

#include "copy.h"
#include "helper.h"
#include "program.h"
#include "verdict.h"

/* Start argv[0] with the descriptor <in> as its standard input. */
static pid_t start(char const *const *argv, int in)
{
  pid_t pid = fork();
  if (pid == -1) strerr_diefusys(EXIT_TEMPORARY, "fork");
  if (pid) return pid;
  sig_restore(SIGPIPE);
  sig_restore(SIGXFSZ);
  if (in && fd_move(0, in) == -1) strerr_diefusys(EXIT_TEMPORARY, "set up descriptors");
  execvp(argv[0], (char *const *)argv);
  strerr_diefusys(EXIT_TEMPORARY, "run ", argv[0]);
}

static int status(pid_t pid)
{
  int wstat;
  if (wait_pid(pid, &wstat) == -1) strerr_diefusys(EXIT_TEMPORARY, "wait for a program");
  return wstat;
}

static int code(int wstat, char const *name)
{
  if (WIFSIGNALED(wstat)) strerr_dief(EXIT_TEMPORARY, "child crashed: ", name);
  return WEXITSTATUS(wstat);
}

int child_run(char const *const *argv)
{
  return code(status(start(argv, 0)), argv[0]);
}

/* Write <head> and the rest of descriptor 0 to <fd>. A program that has had enough is no trouble.
 */
static void feed(int fd, stralloc const *head)
{
  uint64_t copied;
  enum copy_result r = COPY_OK;
  if (allwrite(fd, head->s, head->len) < head->len) r = COPY_WRITE;
  if (r == COPY_OK) r = copy_bytes(0, fd, COPY_ALL, 0, 0, &copied);
  if (r == COPY_READ) strerr_diefusys(EXIT_TEMPORARY, "read the message");
  if (r == COPY_WRITE && errno != EPIPE)
    strerr_diefusys(EXIT_TEMPORARY, "write the message to a program");
}

static int feed_one(char const *const *argv, stralloc const *head)
{
  int p[2];
  if (pipecoe(p) == -1) strerr_diefusys(EXIT_TEMPORARY, "make a pipe");
  pid_t pid = start(argv, p[0]);
  close(p[0]);
  feed(p[1], head);
  close(p[1]);
  return status(pid);
}

int child_feed(char const *const *argv, stralloc const *head)
{
  return code(feed_one(argv, head), argv[0]);
}

void child_shell(char const *line, stralloc const *head)
{
  char const *const argv[] = {"/bin/sh", "-c", line, 0};
  int r = verdict(head ? feed_one(argv, head) : status(start(argv, 0)));
  if (r && r != VERDICT_STOP) _exit(r);
}

char const *const child_prelines[3] = {"UFLINE", "RPLINE", "DTLINE"};

void child_add_prelines(stralloc *head)
{
  for (int i = 0; i < 3; i++) {
    char const *line = getenv(child_prelines[i]);
    if (line) helper_add(head, line, strlen(line));
  }
}
