/* killat.c - run a program, and kill it with SIGKILL before or after one of its system calls
 *
 * usage: killat [ -T ] FILE CHILD STOP[,STOP...] PROGRAM [ARG...]
 *
 * The program takes this process' place; a process of its own traces it. Each
 * system call has two stops: before the kernel acts, and after it has acted.
 * With CHILD 0 the program itself is killed at its stop number STOP, counted
 * from 1 after its execve. Otherwise the children that it forks are: the one
 * with the number CHILD at the first STOP, the next one at the second and so
 * on; these are counted from their fork, and nothing else is stopped. A STOP of
 * 0 is never reached. Children of those that are traced are not.
 *
 * For each of them one line is added to FILE when it is dead:
 *   INDEX STOPS NUMBER how
 * INDEX counts the STOPs from 1, STOPS is how many stops there were. <how> is
 * "before" or "after" the system call NUMBER when it was killed here; "exit" or
 * "signal" when not, and NUMBER is the exit status or the signal.
 * -T: files without a name (O_TMPFILE) cannot be made, as on some file systems.
 *
 * exit: the program's; 100 wrong usage, 111 it cannot be traced.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define USAGE       "usage: killat [ -T ] file child stop[,stop...] program [arg...]\n"
#define TARGETS_MAX 1024
#define FRESH_MAX   64
#define OPTIONS     (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC)
#define FORKS       (PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK)

struct target {
  pid_t pid;
  int begun;           /* it was stopped once */
  unsigned long stop;  /* where to kill it */
  unsigned long stops; /* so far */
  long number;         /* of the system call where it was killed */
  char const *how;     /* NULL while it lives */
};

struct tracer {
  pid_t program;
  unsigned long first; /* the child that is the first target; 0: the program is */
  unsigned long forked;
  size_t nfresh;
  pid_t fresh[FRESH_MAX]; /* children that were told of, or have shown up, but not both */
  size_t n, begun;
  struct target targets[TARGETS_MAX];
  int out;
};

static struct target *find(struct tracer *t, pid_t pid)
{
  for (size_t i = 0; i < t->begun; i++)
    if (t->targets[i].pid == pid) return t->targets + i;
  return 0;
}

static void go_on(pid_t pid, int request, int sig)
{
  ptrace(request, pid, 0, (void *)(long)sig);
}

/* The program has forked <pid>. That is told by a stop of each of them, in any order. */
static void add_child(struct tracer *t, pid_t pid)
{
  for (size_t i = 0; i < t->nfresh; i++) {
    if (t->fresh[i] != pid) continue;
    t->fresh[i] = t->fresh[--t->nfresh];
    return;
  }
  if (t->nfresh < FRESH_MAX) t->fresh[t->nfresh++] = pid;
  if (++t->forked < t->first || t->begun == t->n) return;
  t->targets[t->begun].number = SYS_clone;
  t->targets[t->begun++].pid = pid;
}

/* The program itself is stopped, and its children are what matters. */
static void on_program(struct tracer *t, int event, int sig)
{
  unsigned long pid;
  if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK) {
    if (ptrace(PTRACE_GETEVENTMSG, t->program, 0, &pid) == 0) add_child(t, (pid_t)pid);
    if (t->begun == t->n) return go_on(t->program, PTRACE_DETACH, 0);
  }
  go_on(t->program, PTRACE_CONT, event ? 0 : sig);
}

/* What is called is told by the stop before a call only. */
static void on_call(struct target *k)
{
  struct __ptrace_syscall_info info = { 0 };
  if (k->how) return; /* it is on its way out */
  if (++k->stops > k->stop || k->stop - k->stops > 1) return go_on(k->pid, PTRACE_SYSCALL, 0);
  int before = ptrace(PTRACE_GET_SYSCALL_INFO, k->pid, sizeof info, &info) > 0 &&
               info.op == PTRACE_SYSCALL_INFO_ENTRY;
  if (before) k->number = (long)info.entry.nr;
  if (k->stops < k->stop) return go_on(k->pid, PTRACE_SYSCALL, 0);
  k->how = before ? "before" : "after";
  kill(k->pid, SIGKILL);
}

static void on_stop(struct tracer *t, pid_t pid, int status)
{
  int event = status >> 16;
  int sig = WSTOPSIG(status);
  if (pid == t->program && t->first) return on_program(t, event, sig);
  struct target *k = find(t, pid);
  if (t->first && (!k || !k->begun)) {
    add_child(t, pid);
    k = find(t, pid);
    if (!k) return go_on(pid, PTRACE_DETACH, 0);
    ptrace(PTRACE_SETOPTIONS, pid, 0, OPTIONS);
  }
  k->begun = 1;
  if (sig == (SIGTRAP | 0x80)) return on_call(k);
  go_on(pid, PTRACE_SYSCALL, event ? 0 : sig);
}

static void on_end(struct tracer *t, pid_t pid, int status)
{
  struct target *k = find(t, pid);
  if (!k) return;
  if (!k->how) {
    k->how = WIFEXITED(status) ? "exit" : "signal";
    k->number = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
  }
  dprintf(t->out, "%zu %lu %ld %s\n", (size_t)(k - t->targets) + 1, k->stops, k->number, k->how);
  k->pid = 0;
}

static void trace(struct tracer *t, int ready)
{
  int status;
  unsigned long options = OPTIONS | (t->first ? FORKS : 0);
  signal(SIGPIPE, SIG_IGN);
  if (ptrace(PTRACE_SEIZE, t->program, 0, options) == -1 || write(ready, "\n", 1) != 1) _exit(111);
  close(ready);
  if (!t->first) {
    t->targets[0].number = SYS_execve;
    t->targets[t->begun++].pid = t->program;
  }
  for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
    if (WIFSTOPPED(status)) on_stop(t, pid, status);
    else on_end(t, pid, status);
  }
  _exit(0);
}

/* Start the tracer, as nobody's child that the program could stumble over. */
static void start_tracer(struct tracer *t)
{
  int p[2];
  char c;
  t->program = getpid();
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  if (pipe2(p, O_CLOEXEC) == -1) _exit(111);
  pid_t pid = fork();
  if (!pid) {
    if (fork()) _exit(0);
    /* No other descriptor stays open: somebody may wait for its end. */
    if (dup2(t->out, 0) == -1 || dup2(p[1], 1) == -1) _exit(111);
    close_range(2, ~0U, 0);
    t->out = 0;
    trace(t, 1);
  }
  close(p[1]);
  waitpid(pid, 0, 0);
  if (read(p[0], &c, 1) != 1) {
    fprintf(stderr, "killat: this cannot be traced\n");
    _exit(111);
  }
  close(p[0]);
}

/* O_TMPFILE fails with EOPNOTSUPP from now on. */
static void forbid_nameless(void)
{
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 4),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, O_TMPFILE),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, O_TMPFILE, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog p = { .len = sizeof code / sizeof *code, .filter = code };
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) == -1) {
    perror("killat: seccomp");
    _exit(111);
  }
}

static void usage(void)
{
  fputs(USAGE, stderr);
  _exit(100);
}

static unsigned long number(char **s)
{
  char *end;
  unsigned long n = strtoul(*s, &end, 10);
  if (end == *s) usage();
  *s = end;
  return n;
}

int main(int argc, char **argv)
{
  static struct tracer t;
  int nameless = argc > 1 && !strcmp(argv[1], "-T");
  argv += nameless;
  if (argc - nameless < 5) usage();
  t.first = number(&argv[2]);
  char *s = argv[3];
  do t.targets[t.n++].stop = number(&s);
  while (*s++ == ',' && t.n < TARGETS_MAX);
  t.out = open(argv[1], O_WRONLY | O_APPEND | O_CLOEXEC);
  if (t.out == -1) {
    perror(argv[1]);
    _exit(111);
  }
  if (nameless) forbid_nameless();
  start_tracer(&t);
  close(t.out);
  execvp(argv[4], argv + 4);
  perror(argv[4]);
  _exit(111);
}
