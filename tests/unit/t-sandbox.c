/* t-sandbox.c - what a sandboxed program can no longer do */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdarg.h>
#include <stdio.h>
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

/* Landlock's version by the kernel, or this one; and a call that fails with <error>. */
static long version;
static struct {
  long call, flags;
  int error;
} failing;

/* What lib/sandbox calls, in the place of libc's. */
long syscall(long call, ...)
{
  static long (*real)(long, ...);
  long a[4]; /* as many as a call has here, at most */
  va_list list;
  va_start(list, call);
  for (int i = 0; i < 4; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "syscall");
  int asked = call == SYS_landlock_create_ruleset && a[2] == LANDLOCK_CREATE_RULESET_VERSION;
  if (call == failing.call && asked == failing.flags) return (errno = failing.error, -1);
  return asked && version ? version : real(call, a[0], a[1], a[2], a[3]);
}

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

/* --- a Maildir, another one, and a file beside them */

static int make(char const *path)
{
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  int ok = fd != -1 && write(fd, "x", 1) == 1;
  close(fd);
  return ok;
}

static int make_maildirs(void)
{
  return mkdir("own", 0700) == 0 && mkdir("own/new", 0700) == 0 && mkdir("own/cur", 0700) == 0 &&
         mkdir("other", 0700) == 0 && mkdir("other/cur", 0700) == 0 && make("own/new/1") &&
         make("own/new/2") && make("own/cur/3") && make("other/cur/4") && make("sums");
}

static int only_own(void)
{
  int fds[] = { open("own", O_RDONLY | O_DIRECTORY), -1, open("sums", O_PATH) };
  int r = sandbox_write_below(fds, sizeof fds / sizeof *fds);
  int e = errno;
  for (int i = 0; i < 3; i++) close(fds[i]);
  errno = e;
  return r;
}

static int can_open(char const *path, int flags)
{
  int fd = open(path, flags, 0600);
  if (fd == -1) return 0;
  close(fd);
  return 1;
}

static int own_is_open(void)
{
  return can_open("own", O_RDONLY) && can_open("own/new", O_RDONLY) && can_open("own/new/1", O_RDWR) &&
         can_open("own/cur/5", O_WRONLY | O_CREAT | O_EXCL) && can_open("own/cur/5", O_WRONLY | O_TRUNC) &&
         rename("own/new/1", "own/cur/1") == 0 && link("own/new/2", "own/cur/2") == 0 &&
         unlink("own/cur/3") == 0 && can_open("sums", O_RDWR | O_APPEND);
}

static int other_is_closed(void)
{
  return !can_open("other", O_RDONLY) && !can_open("other/cur", O_RDONLY) && !can_open(".", O_RDONLY) &&
         !can_open("other/cur/4", O_RDONLY) && !can_open("other/cur/4", O_WRONLY) &&
         !can_open("other/cur/4", O_RDONLY | O_TRUNC) && !can_open("other/cur/6", O_WRONLY | O_CREAT) &&
         unlink("other/cur/4") == -1 && rename("other/cur/4", "own/cur/4") == -1 &&
         link("other/cur/4", "own/cur/4") == -1 && rename("own/new/2", "other/cur/2") == -1 &&
         link("own/new/2", "other/cur/2") == -1 && unlink("sums") == -1 && rename("own", "mine") == -1;
}

static int only_files(void)
{
  return symlink("../../other/cur/4", "own/cur/4") == -1 && mkdir("own/tmp", 0700) == -1 &&
         mkfifo("own/cur/6", 0600) == -1 && rmdir("own/new") == -1 && rename("own/new", "own/tmp") == -1;
}

static int no_metadata(void)
{
  char const *const path = "other/cur/4";
  return truncate(path, 0) == -1 && chmod(path, 0644) == -1 && chown(path, getuid(), getgid()) == -1 &&
         fchmodat(AT_FDCWD, path, 0644, 0) == -1 && lchown(path, getuid(), getgid()) == -1 &&
         fchownat(AT_FDCWD, path, getuid(), getgid(), 0) == -1 &&
         syscall(452, AT_FDCWD, path, 0644, 0) == -1; /* fchmodat2 */
}

static int try_write(void)
{
  int r = only_own();
  if (r != 1) return r ? LEAK : CANNOT;
  if (!other_is_closed() || !own_is_open() || !only_files()) return LEAK;
  int truncated = truncate("other/cur/4", 0) == 0;
  if (truncated != (version == 2)) return LEAK; /* the second version does not restrict it */
  return sandbox_no_exec() != -1 && no_metadata() ? DONE : LEAK;
}

static int try_without(void)
{
  return only_own() == 0 && can_open("other/cur/4", O_RDWR) &&
                 rename("own/new/2", "own/cur/9") == 0
             ? DONE
             : LEAK;
}

static int try_trouble(void)
{
  return only_own() == -1 && errno == failing.error ? DONE : LEAK;
}

static void report(int r, char const *why)
{
  if (r == CANNOT) printf("skip - %s: this kernel cannot\n", why);
  else check(r == DONE, why);
}

/* <f> in new Maildirs. */
static int anew(int (*f)(void))
{
  (void)!system("rm -rf own other sums mine");
  return make_maildirs() ? in_child(f) : -1;
}

static void write_below(void)
{
  static long const calls[][2] = { { SYS_landlock_create_ruleset, 1 },
                                   { SYS_landlock_create_ruleset, 0 },
                                   { SYS_landlock_add_rule, 0 },
                                   { SYS_landlock_restrict_self, 0 } };
  static int const unknown[] = { ENOSYS, EOPNOTSUPP };
  int r = anew(try_write);
  report(r, "below a directory files are written and renamed, others are closed");
  if (r == CANNOT) return;
  version = 2;
  report(anew(try_write), "and by the second version of Landlock");
  version = 1;
  report(anew(try_without), "by the first, which allows no renames, nothing is closed");
  version = 0;
  for (int i = 0; i < 2; i++) {
    failing.call = SYS_landlock_create_ruleset;
    failing.flags = 1;
    failing.error = unknown[i];
    report(anew(try_without), unknown[i] == ENOSYS ? "nor without Landlock" : "nor with Landlock switched off");
  }
  failing.error = EPERM;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    failing.call = calls[i][0];
    failing.flags = calls[i][1];
    report(anew(try_trouble), "a call that Landlock needs fails: so does this");
  }
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
  write_below();
  return check_done();
}
