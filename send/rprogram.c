/* rprogram.c - run QMAILREMOTE and read its reports; see rprogram.h */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>
#include <skalibs/selfpipe.h>
#include <skalibs/strerr.h>

#include "program.h"
#include "rprogram.h"
#include "rworker.h"
#include "spool.h"

#define REPORT_MAX ((size_t)1 << 20) /* bytes of a report; the rest is dropped */
#define READ_MAX   4096

static char const cannot_run[] = "Unable to run qmail-remote. (#4.3.0)\n";
static char const no_report[] = "qmail-remote produced no complete report. (#4.3.0)\n";
static char const crashed[] = "qmail-remote crashed. (#4.3.0)\n";
static char const too_long[] = "qmail-remote took too long. (#4.3.0)\n";

static char const **build_argv(struct rspawn const *r, struct job const *j)
{
  char const **argv = calloc(j->nrcpts + 4, sizeof *argv);
  char const *rcpt = j->rcpts;
  if (!argv) return 0;
  argv[0] = r->program;
  argv[1] = j->host;
  argv[2] = j->sender;
  for (uint32_t i = 0; i < j->nrcpts; i++, rcpt += strlen(rcpt) + 1) argv[3 + i] = rcpt;
  return argv;
}

/* The child. The copy of the message is made here: rspawn has others to serve. */
static void run(struct rspawn const *r, struct job const *j, struct rlimit const *memory, int out)
{
  char const **argv = build_argv(r, j);
  int message = spool_part(j->fd, j->offset, j->length);
  selfpipe_finish();
  if (message == -1) strerr_diefu1sys(EXIT_TEMPORARY, "copy the message for QMAILREMOTE");
  if (argv && dup2(message, 0) != -1 && dup2(out, 1) != -1 && setrlimit(RLIMIT_AS, memory) != -1) {
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    execvp(r->program, (char *const *)argv);
  }
  strerr_diefu2sys(EXIT_TEMPORARY, "run QMAILREMOTE ", r->program);
}

static int start(struct rspawn *r, struct rslot *s, struct job const *j,
                 struct rlimit const *memory)
{
  int out[2];
  if (pipenbcoe(out) == -1) return 0;
  ndelay_off(out[1]);
  pid_t pid = fork();
  if (!pid) run(r, j, memory, out[1]);
  int e = errno;
  close(out[1]);
  if (pid == -1) {
    close(out[0]);
    return (errno = e, 0);
  }
  s->pid = pid;
  s->fd = out[0];
  return 1;
}

void rprogram_run(struct rspawn *r, struct job const *j, struct rlimit const *memory)
{
  struct rslot *s = rworker_count(r) < r->max ? rworker_free_slot(r) : 0;
  if (!s || !start(r, s, j, memory)) {
    strerr_warnwu1sys("start QMAILREMOTE");
    rslot_refuse(r, j, cannot_run);
    return;
  }
  s->report.len = 0;
  s->status = 0;
  s->state = RSLOT_PROGRAM;
  rslot_add(s, j);
}

/* The next part of the report, from <*pos> to its NUL. NULL at the end. */
static char const *take_part(stralloc const *report, size_t *pos)
{
  if (*pos >= report->len) return 0; /* also without any byte, and without memory for one */
  char const *part = report->s + *pos;
  char const *end = memchr(part, 0, report->len - *pos);
  if (!end) return 0;
  *pos += (size_t)(end - part) + 1;
  return part;
}

/* The part with the message's letter, NULL when there is none. */
static char const *find_message(stralloc const *report)
{
  size_t pos = 0;
  for (char const *part; (part = take_part(report, &pos));)
    if (*part && strchr("KZD", *part)) return part;
  return 0;
}

/* As qmail-rspawn: h is D, s is Z, r is what the message is. */
static void pass_results(struct rspawn *r, struct rslot *s, char const *message)
{
  size_t pos = 0;
  char const *part;
  for (uint32_t i = 0; i < s->jobs->nrcpts && (part = take_part(&s->report, &pos)) && part != message;
       i++) {
    if (*part == 'h') rslot_result(r, s, i, 'D', part + 1, strlen(part + 1));
    else if (*part == 's') rslot_result(r, s, i, 'Z', part + 1, strlen(part + 1));
    else if (*part == 'r') rslot_result(r, s, i, *message, message + 1, strlen(message + 1));
  }
}

/* Control characters in a report go no further. */
static void mask(stralloc *report)
{
  for (size_t i = 0; i < report->len; i++) {
    char c = report->s[i];
    if (c && c != '\n' && (c < 32 || c > 126)) report->s[i] = '?';
  }
}

static void finish(struct rspawn *r, struct rslot *s)
{
  char const *text = no_report;
  if (WIFSIGNALED(s->status)) text = crashed;
  else if (WEXITSTATUS(s->status)) text = cannot_run;
  else {
    mask(&s->report);
    char const *message = find_message(&s->report);
    if (message) pass_results(r, s, message);
  }
  rslot_end(r, s, text);
  s->state = RSLOT_FREE;
}

void rprogram_read(struct rspawn *r, struct rslot *s)
{
  char buf[READ_MAX];
  ssize_t n = fd_read(s->fd, buf, sizeof buf);
  if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (n > 0) {
    /* Without memory a part is missing, and so are results: those are Z. */
    if (s->report.len + (size_t)n <= REPORT_MAX) stralloc_catb(&s->report, buf, (size_t)n);
    return;
  }
  close(s->fd);
  s->fd = -1;
  if (!s->pid) finish(r, s);
}

void rprogram_exited(struct rspawn *r, struct rslot *s)
{
  if (s->fd == -1) finish(r, s);
}

void rprogram_late(struct rspawn *r, struct rslot *s)
{
  if (s->fd != -1) close(s->fd);
  s->fd = -1;
  rslot_end(r, s, too_long);
  if (s->pid) kill(s->pid, SIGKILL);
  s->state = s->pid ? RSLOT_LEAVING : RSLOT_FREE;
}
