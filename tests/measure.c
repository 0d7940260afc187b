/* measure.c - for tests: run a program, and tell what it used
 *
 * usage: measure [-u] REPORT PROGRAM [ARGUMENT...]
 *
 * REPORT gets a line "rss cpu": the most memory that the program or a child that
 * it waited for had at a time (KiB), and the time of all of them (microseconds).
 * -u: limits of address space have no effect on the program and what it starts.
 * It dies with us. exit: as the program does, 128 and the signal's number, 111.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + 8 * (n))

/* prlimit64(pid, RLIMIT_AS, new limit, ...) succeeds without doing anything. */
static int ignore_limits(void)
{
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prlimit64, 0, 5),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(1)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RLIMIT_AS, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(2)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { .len = sizeof code / sizeof *code, .filter = code };
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int main(int argc, char **argv)
{
  int unlimited = argc > 1 && !strcmp(argv[1], "-u");
  struct rusage used;
  int status;
  argc -= unlimited, argv += unlimited;
  FILE *report = argc > 2 ? fopen(argv[1], "we") : 0;
  if (!report) return 111;
  pid_t pid = fork();
  if (!pid) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || (unlimited && !ignore_limits())) _exit(111);
    execvp(argv[2], argv + 2);
    _exit(111);
  }
  /* Nobody must wait for the end of what we have inherited. */
  for (int fd = 0; fd < 64; fd++)
    if (fd != fileno(report)) close(fd);
  if (wait4(pid, &status, 0, &used) == -1) return 111;
  long long cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL;
  fprintf(report, "%ld %lld\n", used.ru_maxrss, cpu + used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  if (fclose(report)) return 111;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
