/* checkpass-reader.c - the process that reads what a client of SCRAM says; see checkpass-reader.h
 *
 * It becomes an account under which nothing else runs, and which owns nothing. On descriptor 0 it has
 * its socket, and no other one; its system calls are read, write and exit.
 */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "accounts.h"
#include "checkpass-reader.h"
#include "checkpass.h"
#include "priv.h"
#include "program.h"
#include "sandbox.h"

#define CPU_SECONDS 1

/* --- the process --- */

static int const calls[] = {
  SYS_read,
  SYS_write,
  SYS_exit_group,
#ifdef __SANITIZE_ADDRESS__
  SYS_sigaltstack,
#endif
};

static struct {
  uint8_t which, max;
} const limits[] = {
  { RLIMIT_CPU, CPU_SECONDS }, { RLIMIT_NPROC, 0 }, { RLIMIT_NOFILE, 0 },
  { RLIMIT_FSIZE, 0 },         { RLIMIT_DATA, 0 },  { RLIMIT_CORE, 0 },
};

static int limit(void)
{
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    struct rlimit l = { limits[i].max, limits[i].max };
    if (setrlimit(limits[i].which, &l) == -1) return 0;
  }
  return 1;
}

/* In an instance of one account root is the only one who can become it. */
static int become(struct accounts const *a)
{
  return geteuid() || priv_drop(a->uid[ACCOUNT_POLICY], a->gid[ACCOUNT_POLICY]);
}

/* Nothing is left but its end of the socket. */
static int confine(struct accounts const *a, int end)
{
  return fd_move(0, end) == 0 && close_range(1, ~0U, 0) == 0 && become(a) &&
         prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && sandbox_no_files() != -1 && limit() &&
         sandbox_allow_only(calls, sizeof calls / sizeof *calls) != -1;
}

void reader_take_first(struct scram *s, struct reader_task const *t, struct reader_first *f)
{
  int ok = scram_first(s, t->s, t->len);
  f->loginlen = (uint16_t)strlen(s->user);
  memcpy(f->login, s->user, f->loginlen);
  f->noncelen = 0;
  if (!ok) return;
  f->barelen = (uint16_t)(s->firstlen - s->headerlen);
  memcpy(f->bare, s->first + s->headerlen, f->barelen);
  f->noncelen = (uint16_t)s->noncelen;
  memcpy(f->nonce, s->nonce, f->noncelen);
}

void reader_take_final(struct scram *s, struct reader_task const *t, struct reader_final *f)
{
  f->len = (uint16_t)scram_final(s, t->ours, t->s, t->len, f->proof);
  memcpy(f->without_proof, t->s, f->len);
}

static int hear(struct reader_task *t)
{
  return fd_read(0, (char *)t, sizeof *t) == sizeof *t;
}

/* Whether that came, its parent sees. */
static void say(void const *answer, size_t size)
{
  fd_write(0, answer, size);
}

static void run(void)
{
  static struct scram s;
  static struct reader_task t;
  static struct reader_first first;
  static struct reader_final final;
  if (!hear(&t)) return;
  reader_take_first(&s, &t, &first);
  say(&first, sizeof first);
  if (!hear(&t)) return;
  reader_take_final(&s, &t, &final);
  say(&final, sizeof final);
}

/* --- who has it --- */

pid_t reader_start(int *fd)
{
  struct accounts a;
  int ends[2];
  checkpass_accounts(&a);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1) return -1;
  pid_t pid = fork();
  if (!pid) {
    if (confine(&a, ends[1])) run();
    _exit(errno);
  }
  close(ends[1]);
  *fd = ends[0];
  return pid;
}

void reader_end(pid_t pid)
{
  kill(pid, SIGKILL);
  waitpid(pid, 0, 0);
}

/* It exits with an errno. There are no signal handlers here, which could interrupt this. */
void reader_lost(pid_t pid)
{
  char number[UINT_FMT];
  int status = 0;
  waitpid(pid, &status, 0);
  int killed = WIFSIGNALED(status);
  number[uint_fmt(number, (unsigned int)(killed ? WTERMSIG(status) : WEXITSTATUS(status)))] = 0;
  strerr_dief(EXIT_TEMPORARY, killed ? "the reader was killed by signal " : "the reader cannot be confined: error ",
              number);
}
