/* t-sandbox.c - what a sandboxed program can no longer do */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "sandbox.h"

/* The exit status of <f> run in a child. */
static int in_child(int (*f)(void))
{
  int status;
  fflush(stdout);
  pid_t pid = fork();
  if (!pid) _exit(f());
  if (pid == -1 || waitpid(pid, &status, 0) == -1) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

enum { DONE = 10, CANNOT = 20, LEAK = 30 };

static int try_exec(void)
{
  int r = sandbox_no_exec();
  if (r != 1) return r ? LEAK : CANNOT;
  execl("/bin/true", "true", (char *)0);
  if (errno != EPERM) return LEAK;
#ifdef __x86_64__
  if (syscall(0x40000000 | SYS_getpid) != -1 || errno != EPERM) return LEAK;
#endif
  return ptrace(PTRACE_TRACEME, 0, 0, 0) == -1 && errno == EPERM ? DONE : LEAK;
}

static int try_files(void)
{
  char const *const paths[] = { "/nowhere", "allowed", 0 };
  int kept = open("/etc/passwd", O_RDONLY);
  int r = sandbox_read_only(paths);
  char c;
  if (r != 1) return r ? LEAK : CANNOT;
  if (open("allowed/file", O_RDONLY) == -1 || read(kept, &c, 1) != 1) return LEAK;
  if (open("allowed/file", O_WRONLY) != -1 || open("/etc/passwd", O_RDONLY) != -1) return LEAK;
  return open("allowed/new", O_WRONLY | O_CREAT, 0600) == -1 && errno == EACCES ? DONE : LEAK;
}

static int try_nothing(void)
{
  int kept = open("/etc/passwd", O_RDONLY);
  int r = sandbox_no_files();
  char c;
  if (r != 1) return r ? LEAK : CANNOT;
  if (read(kept, &c, 1) != 1) return LEAK;
  return open("allowed/file", O_RDONLY) == -1 && errno == EACCES ? DONE : LEAK;
}

/* 0, or errno of bind() or connect() with a new socket and this path. */
static int at_path(int (*f)(int, struct sockaddr const *, socklen_t), char const *path, int *fd)
{
  struct sockaddr_un sa = { .sun_family = AF_UNIX };
  memcpy(sa.sun_path, path, strlen(path) + 1);
  *fd = socket(AF_UNIX, SOCK_STREAM, 0);
  return f(*fd, (struct sockaddr *)&sa, sizeof sa) ? errno : 0;
}

/* A server is named by where its socket lies, outside of what may be read: pipit-remote's LMTP. */
static int try_sockets(void)
{
  char const *const paths[] = { "allowed", 0 };
  int server, client, none;
  if (at_path(bind, "server", &server) || listen(server, 1)) return LEAK;
  int r = sandbox_read_only(paths);
  if (r != 1) return r ? LEAK : CANNOT;
  if (sandbox_no_exec() == -1 || at_path(connect, "server", &client)) return LEAK;
  return at_path(bind, "allowed/another", &none) == EACCES ? DONE : LEAK;
}

static void report(int r, char const *why)
{
  if (r == CANNOT) printf("skip - %s: this kernel cannot\n", why);
  else check(r == DONE, why);
}

int main(void)
{
  char const *scratch = getenv("SCRATCH");
  if (!scratch || chdir(scratch) || mkdir("allowed", 0700)) return 111;
  int fd = open("allowed/file", O_WRONLY | O_CREAT, 0600);
  if (fd == -1 || close(fd)) return 111;
  report(in_child(try_exec), "no program can be executed, nothing traced");
  report(in_child(try_files), "only the named paths can be read, nothing written");
  report(in_child(try_nothing), "or no file at all");
  report(in_child(try_sockets), "a socket can be connected to, none can be made");
  return check_done();
}
