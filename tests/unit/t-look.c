/* t-look.c - the process of pipit-rcptd that looks into homes: what it is left able to do */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../policy/rcptd.h"
#include "check.h"

enum { LEAK = 10, CANNOT };

/* Make a system call in a confined child: its signal, or LEAK or CANNOT. */
static int in_child(long call, long a, long b, long c, long d)
{
  int status;
  fflush(stdout);
  pid_t pid = fork();
  if (!pid) {
    int r = look_confine();
    if (r == 1) syscall(call, a, b, c, d, 0L, 0L);
    syscall(SYS_exit_group, r ? LEAK : CANNOT);
  }
  if (pid == -1 || waitpid(pid, &status, 0) == -1) return LEAK;
  return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

#define addr(p) ((long)(p))

static void calls(void)
{
  static char const *const argv[] = {"/bin/true", 0};
  static char const file[] = "/etc/passwd";
  static char buf[64];
  struct {
    char const *name;
    long call, a, b, c, d;
  } const tries[] = {
      {"open a file", SYS_openat, AT_FDCWD, addr(file), O_RDONLY, 0},
      {"make a file", SYS_openat, AT_FDCWD, addr("new"), O_RDWR | O_CREAT, 0600},
      {"find a file (O_PATH)", SYS_openat, AT_FDCWD, addr(file), O_PATH, 0},
#ifdef SYS_open
      {"open a file in the old way", SYS_open, addr(file), O_RDONLY, 0, 0},
#endif
#ifdef SYS_openat2
      {"open a file in a new way", SYS_openat2, AT_FDCWD, addr(file), addr(buf), 24},
#endif
      {"open a file by its handle", SYS_open_by_handle_at, AT_FDCWD, addr(buf), O_RDONLY, 0},
      {"read a link", SYS_readlinkat, AT_FDCWD, addr("/proc/self/exe"), addr(buf), sizeof buf},
      {"list a directory", SYS_getdents64, 0, addr(buf), sizeof buf, 0},
      {"read an attribute", SYS_getxattr, addr(file), addr("user.x"), addr(buf), sizeof buf},
      {"go to a directory", SYS_chdir, addr("/"), 0, 0, 0},
      {"execute a program", SYS_execve, addr(argv[0]), addr(argv), 0, 0},
      {"make a socket", SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0},
      {"receive a descriptor", SYS_recvmsg, 0, addr(buf), 0, 0},
      {"take another's descriptor", SYS_pidfd_getfd, 0, 0, 0, 0},
      {"make a process", SYS_clone, SIGCHLD, 0, 0, 0},
      {"trace a process", SYS_ptrace, 0, 0, 0, 0},
      {"signal a process", SYS_kill, getpid(), 0, 0, 0},
      {"map memory", SYS_mprotect, 0, 4096, 7, 0},
      {"begin with io_uring", SYS_io_uring_setup, 1, addr(buf), 0, 0},
#ifdef __x86_64__
      {"open a file by the x32 ABI", 0x40000000 | SYS_open, addr(file), O_RDONLY, 0, 0},
#endif
  };
  for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
    char why[100];
    int r = in_child(tries[i].call, tries[i].a, tries[i].b, tries[i].c, tries[i].d);
    snprintf(why, sizeof why, "%s: killed", tries[i].name);
    if (r == CANNOT) printf("skip - %s: this kernel cannot\n", why);
    else check(r == SIGSYS, why);
  }
}

/* One question to a confined look_run. */
static int ask(char const *question, size_t len)
{
  int s[2], status;
  char answer = 0;
  fflush(stdout);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) == -1) return -1;
  pid_t pid = fork();
  if (!pid) {
    if (dup2(s[1], 0) == -1 || close(s[0]) || close(s[1])) _exit(LEAK);
    if (look_confine() == -1) _exit(LEAK);
    look_run(0);
  }
  close(s[1]);
  if (send(s[0], question, len, 0) == -1 || recv(s[0], &answer, 1, 0) != 1) answer = 0;
  close(s[0]);
  if (waitpid(pid, &status, 0) == -1 || !WIFEXITED(status) || WEXITSTATUS(status)) return -1;
  return answer;
}

static void answers(char const *home)
{
  char q[5000];
  int n = snprintf(q, sizeof q, "%s%c-%cfound", home, 0, 0);
  size_t len = (size_t)n + 1;
  check(ask(q, len) == LOOK_FILE, "it still sees a file");
  n = snprintf(q, sizeof q, "%s%c-%cother", home, 0, 0);
  check(ask(q, (size_t)n + 1) == LOOK_NONE, "and none");
  check(ask(q, (size_t)n) == LOOK_TROUBLE, "a question that is cut off");
  check(ask(q, (size_t)n - 6) == LOOK_TROUBLE, "or lacks a part");
  q[n + 1] = 'x';
  check(ask(q, (size_t)n + 2) == LOOK_TROUBLE, "or has something behind it");
  check(ask("home\0-\0found", 13) == LOOK_TROUBLE, "a home that is no full path");
  memset(q, 'x', sizeof q);
  q[0] = '/';
  memcpy(q + 4200, "\0-\0found", 9);
  check(ask(q, 4209) == LOOK_TROUBLE, "or longer than any");
}

int main(void)
{
  char const *scratch = getenv("SCRATCH");
  if (!scratch || chdir(scratch) || umask(022) == (mode_t)-1) return 111;
  int fd = open(".qmail-found", O_WRONLY | O_CREAT, 0600);
  if (fd == -1 || close(fd) || chmod(".", 0700)) return 111;
  calls();
  answers(scratch);
  return check_done();
}
