/* shorten.c - let reads and writes of a program move fewer bytes than it asked for,
 * or its close() fail
 *
 * usage: shorten -o log [ -b bytes | -e errno ] [ -n first[+] ] program [ arg... ]
 *        shorten -o log [ -b bytes | -e errno ] [ -n first[+] ] -p pid
 *
 * As strace does it: the program and all its children are traced, each from its
 * program_start on (the loader does not bear with less). The first-th
 * call (with '+', each one from there on; without -n none) that asks for more
 * than <bytes> bytes of a file, a pipe or a stream socket is done with <bytes>
 * instead, so nothing is lost or made up. With -e it is about close() instead, which
 * does its work and then fails, as it does on Linux. Each call that could be is noted in the
 * log as "pid call" or, when it was, as "pid call (INJECTED)". With -p it ends
 * at INT or TERM, and lets the process go on.
 *
 * For x86-64 only. Exit: that of the program, 100 wrong usage, 111 trouble.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define TASKS 256
#define OPTIONS                                                                                    \
  (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |        \
   PTRACE_O_TRACEEXEC)

struct task {
  pid_t pid;
  int ours;          /* past the loader: program_start has asked for the flags of descriptor 0 */
  int inside;        /* between a call's entry and its exit */
  int changed;       /* what must be put back at its exit: */
  unsigned long reg; /* the argument that was made smaller */
  unsigned long iov; /* the address of an iovec, and its true length; 0 none */
  unsigned long length;
};

static struct task tasks[TASKS];
static unsigned long bytes, first, forgood, seen;
static long error; /* 0: reads and writes are made shorter */
static FILE *out;
static volatile sig_atomic_t stopping;

/* The timer ends a wait that begins just after the first signal. */
static void on_signal(int sig)
{
  struct itimerval const soon = {{0, 10000}, {0, 10000}};
  if (sig == SIGALRM) return;
  stopping = 1;
  setitimer(ITIMER_REAL, &soon, 0);
}

static struct task *task_of(pid_t pid)
{
  struct task *unused = 0;
  for (size_t i = 0; i < TASKS; i++) {
    if (tasks[i].pid == pid) return tasks + i;
    if (!tasks[i].pid && !unused) unused = tasks + i;
  }
  if (!unused) exit(111);
  memset(unused, 0, sizeof *unused);
  unused->pid = pid;
  unused->ours = 1;
  return unused;
}

/* May less than what was asked for come of a call on this descriptor? */
static int is_stream(pid_t pid, int fd)
{
  struct stat st;
  int type = 0, ok = 0, pidfd = pidfd_open(pid, 0);
  socklen_t len = sizeof type;
  int copy = pidfd == -1 ? -1 : pidfd_getfd(pidfd, fd, 0);
  if (copy != -1 && fstat(copy, &st) == 0)
    ok = S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) ||
         (S_ISSOCK(st.st_mode) && getsockopt(copy, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
          type == SOCK_STREAM);
  if (copy != -1) close(copy);
  if (pidfd != -1) close(pidfd);
  return ok;
}

static int peek(pid_t pid, unsigned long at, void *to, size_t len)
{
  struct iovec l = {to, len}, r = {(void *)at, len};
  return process_vm_readv(pid, &l, 1, &r, 1, 0) == (ssize_t)len;
}

static int poke(pid_t pid, unsigned long at, void const *from, size_t len)
{
  struct iovec l = {(void *)from, len}, r = {(void *)at, len};
  return process_vm_writev(pid, &l, 1, &r, 1, 0) == (ssize_t)len;
}

/* Is it this one's turn? Notes it. */
static int turn(pid_t pid, char const *name)
{
  seen++;
  int now = first && (forgood ? seen >= first : seen == first);
  fprintf(out, "%ld %s%s\n", (long)pid, name, now ? " (INJECTED)" : "");
  fflush(out);
  return now;
}

/* Only the first piece of several, and of that no more than <bytes>. */
static void shorten_vector(struct task *t, char const *name, unsigned long vector,
                           unsigned long long *count)
{
  struct iovec v[16];
  size_t n = *count < 16 ? *count : 16, all = 0, i = 0;
  if (!peek(t->pid, vector, v, n * sizeof *v)) return;
  for (size_t k = 0; k < n; k++) all += v[k].iov_len;
  while (i < n && !v[i].iov_len) i++;
  if (all <= bytes || !turn(t->pid, name)) return;
  t->changed = 1;
  *count = i + 1;
  if (v[i].iov_len <= bytes) return;
  t->iov = vector + i * sizeof *v + offsetof(struct iovec, iov_len);
  t->length = v[i].iov_len;
  poke(t->pid, t->iov, &bytes, sizeof bytes);
}

static void at_entry(struct task *t)
{
  struct user_regs_struct r;
  struct msghdr m;
  t->changed = 0;
  t->iov = 0;
  if (ptrace(PTRACE_GETREGS, t->pid, 0, &r) == -1) return;
  if (r.orig_rax == SYS_fcntl && r.rdi == 0 && r.rsi == F_GETFD) t->ours = 1;
  if (!t->ours) return;
  if (error) {
    if (r.orig_rax == SYS_close) t->changed = turn(t->pid, "close");
    return;
  }
  if (!is_stream(t->pid, (int)r.rdi)) return;
  t->reg = r.rdx;
  switch (r.orig_rax) {
  case SYS_read:
  case SYS_pread64:
  case SYS_recvfrom:
  case SYS_write:
  case SYS_pwrite64:
  case SYS_sendto:
    if (r.rdx <= bytes || !turn(t->pid, r.orig_rax == SYS_read       ? "read"
                                        : r.orig_rax == SYS_pread64  ? "pread64"
                                        : r.orig_rax == SYS_recvfrom ? "recvfrom"
                                        : r.orig_rax == SYS_write    ? "write"
                                        : r.orig_rax == SYS_pwrite64 ? "pwrite64"
                                                                     : "sendto"))
      return;
    r.rdx = bytes;
    t->changed = 1;
    break;
  case SYS_writev: shorten_vector(t, "writev", r.rsi, &r.rdx); break;
  case SYS_pwritev: shorten_vector(t, "pwritev", r.rsi, &r.rdx); break;
  case SYS_readv: shorten_vector(t, "readv", r.rsi, &r.rdx); break;
  case SYS_sendmsg:
    if (!peek(t->pid, r.rsi, &m, sizeof m)) return;
    unsigned long long count = m.msg_iovlen;
    shorten_vector(t, "sendmsg", (unsigned long)m.msg_iov, &count);
    if (!t->changed) return;
    t->reg = m.msg_iovlen;
    m.msg_iovlen = (size_t)count;
    poke(t->pid, r.rsi, &m, sizeof m);
    return;
  default: return;
  }
  if (t->changed) ptrace(PTRACE_SETREGS, t->pid, 0, &r);
}

static void at_exit_of(struct task *t)
{
  struct user_regs_struct r;
  struct msghdr m;
  if (!t->changed || ptrace(PTRACE_GETREGS, t->pid, 0, &r) == -1) return;
  if (error) {
    r.rax = (unsigned long)-error;
    ptrace(PTRACE_SETREGS, t->pid, 0, &r);
    return;
  }
  if (t->iov) poke(t->pid, t->iov, &t->length, sizeof t->length);
  if (r.orig_rax == SYS_sendmsg && peek(t->pid, r.rsi, &m, sizeof m)) {
    m.msg_iovlen = t->reg;
    poke(t->pid, r.rsi, &m, sizeof m);
    return;
  }
  r.rdx = t->reg;
  ptrace(PTRACE_SETREGS, t->pid, 0, &r);
}

static void on_stop(pid_t pid, int status)
{
  struct task *t = task_of(pid);
  int sig = WSTOPSIG(status), event = status >> 16;
  if (sig == (SIGTRAP | 0x80)) {
    struct ptrace_syscall_info info;
    ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
    t->inside = info.op == PTRACE_SYSCALL_INFO_ENTRY;
    if (t->inside)
      at_entry(t);
    else
      at_exit_of(t);
    sig = 0;
  } else if (event == PTRACE_EVENT_STOP &&
             (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)) {
    ptrace(PTRACE_LISTEN, pid, 0, 0);
    return;
  } else if (event) {
    if (event == PTRACE_EVENT_EXEC) t->ours = 0;
    sig = 0;
  }
  ptrace(PTRACE_SYSCALL, pid, 0, (long)sig);
}

static int status_of(int status)
{
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static pid_t start(char **argv)
{
  pid_t pid = fork();
  if (pid) return pid;
  raise(SIGSTOP);
  execvp(*argv, argv);
  _exit(127);
}

/* Let all of them go on without us. A call that is under way is finished first. */
static void detach(void)
{
  int status;
  for (size_t i = 0; i < TASKS; i++) {
    pid_t pid = tasks[i].pid;
    if (!pid || ptrace(PTRACE_INTERRUPT, pid, 0, 0) == -1) continue;
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
      if (status >> 16 == PTRACE_EVENT_STOP) {
        if (tasks[i].inside) at_exit_of(tasks + i);
        ptrace(PTRACE_DETACH, pid, 0, 0);
        break;
      }
      on_stop(pid, status);
    }
  }
}

static int follow(pid_t main, int attached)
{
  int status, result = 111, left = 1;
  while (left && !stopping) {
    pid_t pid = waitpid(-1, &status, __WALL);
    if (pid == -1 && errno == EINTR) continue;
    if (pid == -1) break;
    if (WIFSTOPPED(status)) {
      on_stop(pid, status);
      continue;
    }
    task_of(pid)->pid = 0;
    if (pid == main) result = status_of(status);
    left = 0;
    for (size_t i = 0; i < TASKS; i++) left |= tasks[i].pid != 0;
  }
  if (stopping) detach();
  return attached ? 0 : result;
}

int main(int argc, char **argv)
{
  pid_t pid = 0;
  char *end;
  struct sigaction act = {.sa_handler = on_signal};
  for (int opt; (opt = getopt(argc, argv, "+o:b:e:n:p:")) != -1;) switch (opt) {
    case 'o': out = fopen(optarg, "a"); break;
    case 'b': bytes = strtoul(optarg, 0, 10); break;
    case 'e': error = strtol(optarg, 0, 10); break;
    case 'n':
      first = strtoul(optarg, &end, 10);
      forgood = *end == '+';
      break;
    case 'p': pid = (pid_t)strtoul(optarg, 0, 10); break;
    default: return 100;
    }
  int attached = pid != 0;
  if (!out || !bytes == !error || attached == (optind < argc)) return 100;
  sigaction(SIGINT, &act, 0);
  sigaction(SIGTERM, &act, 0);
  sigaction(SIGALRM, &act, 0);
  if (!attached) {
    int status;
    pid = start(argv + optind);
    if (waitpid(pid, &status, WUNTRACED) != pid) return 111;
  }
  if (ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) == -1) return (perror("shorten"), 111);
  task_of(pid)->ours = attached;
  ptrace(PTRACE_INTERRUPT, pid, 0, 0);
  if (!attached) kill(pid, SIGCONT);
  return follow(pid, attached);
}
