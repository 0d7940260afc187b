/* lspawn-worker.c - the processes that deliver, and what they say; see lspawn.h
 *
 * A worker is a process for one address, local/worker.c. It gets a job at a time
 * over a socket, and answers there what was delivered without further ado; its
 * exit answers all else. It lives for a few seconds, so that it never goes by an
 * old password entry, and no longer than users/cdb and users/mailboxes.cdb stay as
 * they are.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>

#include "lspawn.h"
#include "program.h"

#define WORKER_JOBS  100 /* deliveries of one worker */
#define WORKER_LIFE  5   /* seconds from its start in which it takes jobs */
#define WORKER_PAUSE 2   /* seconds without a job */
#define NOTES_MAX    64  /* notes on one delivery */

void worker_say(struct slot *s, char letter, char const *text, size_t len)
{
  if (len > JOB_TEXT_MAX) len = JOB_TEXT_MAX;
  size_t rest = s->len < JOB_TEXT_MAX - len ? s->len : JOB_TEXT_MAX - len;
  memmove(s->text + len, s->text, rest);
  memcpy(s->text, text, len);
  s->len = len + rest;
  s->letter = letter;
  s->state = RESULT;
}

void worker_defer(struct slot *s, char const *text)
{
  worker_say(s, 'Z', text, strlen(text));
}

static void close_fd(int *fd)
{
  if (*fd != -1) close(*fd);
  *fd = -1;
}

static void forget_notes(struct slot *s)
{
  s->notes = 0;
  s->note = 0;
  s->sofarlen = 0;
}

void worker_leave(struct slot *s)
{
  forget_notes(s);
  close_fd(&s->report);
  close_fd(&s->sock);
  close_fd(&s->peer);
  free(s->rcpt);
  s->rcpt = 0;
  s->pid = 0;
  s->state = FREE;
}

/* Turn how a process ended into a result, as qmail-lspawn does; but trouble with
 * running a program (126 and 127 of a shell) is never the message's fault. */
static void judge(struct slot *s, int wstat)
{
  if (s->timedout) return worker_defer(s, "Delivery took too long and was stopped. (#4.3.0)\n");
  if (WIFSIGNALED(wstat)) return worker_defer(s, "The delivery crashed. (#4.3.0)\n");
  switch (WEXITSTATUS(wstat)) {
  case LSPAWN_MAILBOXES:
    return worker_defer(s, "Trouble with users/mailboxes.cdb in pipit-lspawn. (#4.3.0)\n");
  case LSPAWN_CDB: return worker_defer(s, "Trouble reading users/cdb in pipit-lspawn. (#4.3.0)\n");
  case LSPAWN_NOMEM: return worker_defer(s, "Out of memory in pipit-lspawn. (#4.3.0)\n");
  case LSPAWN_SYS: return worker_defer(s, "Temporary failure in pipit-lspawn. (#4.3.0)\n");
  case LSPAWN_NOALIAS: return worker_defer(s, "Unable to find alias user! (#4.3.0)\n");
  case LSPAWN_ROOT: return worker_defer(s, "Not allowed to perform deliveries as root. (#4.3.0)\n");
  case LSPAWN_USAGE: return worker_defer(s, "Internal pipit-lspawn bug. (#4.3.0)\n");
  case LSPAWN_NFS: return worker_defer(s, "Unable to see the user's home. (#4.3.0)\n");
  case LSPAWN_GETPW: return worker_defer(s, "Trouble reading the password database. (#4.3.0)\n");
  case LSPAWN_EXEC:
  case 126:
  case 127: return worker_defer(s, "Unable to run the delivery program. (#4.3.0)\n");
  case 111:
  case 71:
  case 74:
  case 75: return worker_defer(s, "");
  case 0: return worker_say(s, 'K', "", 0);
  default: return worker_say(s, 'D', "", 0);
  }
}

/* Are there other tables of users than before? Where that cannot be told, there are. */
static void look_at_users(struct lspawn *l)
{
  struct finduser_stamps now;
  if (!finduser_look(&now) || memcmp(&now, &l->seen, sizeof now)) l->users++;
  l->seen = now;
}

/* The worker that has been idle longest, or NULL. <*n> is the number of all. */
static struct slot *oldest_idle(struct lspawn *l, unsigned int *n)
{
  struct slot *oldest = 0;
  *n = 0;
  for (unsigned int i = 0; i < l->max; i++) {
    struct slot *s = l->slots + i;
    if (s->state != IDLE) continue;
    (*n)++;
    if (!oldest || tain_less(&s->deadline, &oldest->deadline)) oldest = s;
  }
  return oldest;
}

/* A slot without a process; an idle worker makes room. */
static struct slot *free_slot(struct lspawn *l)
{
  unsigned int n;
  for (unsigned int i = 0; i < l->max; i++)
    if (l->slots[i].state == FREE) return l->slots + i;
  struct slot *oldest = oldest_idle(l, &n);
  if (oldest) worker_leave(oldest);
  return oldest;
}

struct slot *worker_find(struct lspawn *l, char const *rcpt)
{
  if (rcpt) look_at_users(l);
  for (unsigned int i = 0; rcpt && i < l->max; i++) {
    struct slot *s = l->slots + i;
    if (s->state != IDLE) continue;
    if (s->users != l->users || !tain_future(&s->deadline)) worker_leave(s);
    else if (!strcmp(s->rcpt, rcpt)) return s;
  }
  return free_slot(l);
}

/* Perhaps those that have nothing to do are too many. */
static void leave_idle(struct lspawn *l)
{
  for (unsigned int i = 0; i < l->max; i++)
    if (l->slots[i].state == IDLE) worker_leave(l->slots + i);
}

/* How many idle workers are worth their place: as many as would have let this one be found again, where that is
 * so for one in IDLE_STEP at least; each makes the next fork dearer. */
static void keep_idle(struct lspawn *l, unsigned long since)
{
  if ((!since || since > IDLE_MAX) && l->idle > IDLE_LEAST) l->idle--;
  else if (since <= IDLE_MAX && since > l->idle)
    l->idle += since - l->idle < IDLE_STEP ? (unsigned int)since - l->idle : IDLE_STEP;
}

/* How long the process of <s> takes jobs: no longer than what is known of its user counts. */
static void set_end(struct lspawn *l, struct slot *s)
{
  known_forget(l, s);
  s->users = l->users;
  l->turn++;
  unsigned long since = known_recall(l, s->rcpt, &s->end);
  if (!since) tain_addsec_g(&s->end, WORKER_LIFE);
  keep_idle(l, since);
}

/* Fork the process of <s>, for <j> where it is no worker: that has no slots and no packet. NULL, or
 * why there is none. */
static char const *launch(struct lspawn *l, struct slot *s, struct job const *j)
{
  int p[2];
  struct job const worker = {.rcpts = s->rcpt};
  int in = l->program ? j->fd : s->peer;
  if (pipe2(p, O_CLOEXEC) == -1) return "Unable to make a pipe in pipit-lspawn. (#4.3.0)\n";
  fcntl(p[0], F_SETFL, O_NONBLOCK);
  s->done = 0;
  pid_t pid = program_fork();
  if (!pid) lspawn_child(l, l->program ? j : &worker, in, p[1], l->found + (s - l->slots));
  s->pid = pid;
  close(p[1]);
  s->report = p[0];
  if (s->pid == -1) {
    s->pid = 0;
    leave_idle(l);
    return "Unable to fork in pipit-lspawn. (#4.3.0)\n";
  }
  return 0;
}

/* A new process for the job; a worker finds it in its socket. */
static char const *launch_for(struct lspawn *l, struct slot *s, struct job const *j)
{
  int p[2];
  if (l->program) return launch(l, s, j);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p) == -1)
    return "Unable to make a pipe in pipit-lspawn. (#4.3.0)\n";
  s->sock = p[0];
  s->peer = p[1];
  s->rcpt = strdup(j->rcpts);
  if (!s->rcpt || job_send(s->sock, j) != 1) return "Out of memory in pipit-lspawn. (#4.3.0)\n";
  set_end(l, s);
  return launch(l, s, j);
}

void worker_give(struct lspawn *l, struct slot *s, struct job const *j)
{
  int idle = s->state == IDLE;
  char const *trouble = 0;
  s->num = j->num;
  s->timedout = 0;
  s->len = 0;
  forget_notes(s);
  s->state = RUNNING;
  tain_addsec_g(&s->deadline, (int)l->seconds);
  if (!idle) trouble = launch_for(l, s, j);
  else if (job_send(s->sock, j) != 1) trouble = "Unable to reach the delivery. (#4.3.0)\n";
  if (trouble) worker_defer(s, trouble);
}

/* Read the report, as far as it is there; its first bytes are kept. */
static void read_report(struct slot *s)
{
  char buf[4096];
  while (s->report != -1) {
    ssize_t r = fd_read(s->report, buf, sizeof buf);
    if (r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (r <= 0) {
      close_fd(&s->report);
      return;
    }
    size_t n = (size_t)r;
    if (n > JOB_TEXT_MAX - s->len) n = JOB_TEXT_MAX - s->len;
    memcpy(s->text + s->len, buf, n);
    s->len += n;
  }
}

/* A note on the delivery. 1, or 0 when it is none that a worker gives. */
static int take_note(struct slot *s, struct job_packet const *p)
{
  if (p->index || ++s->notes > NOTES_MAX) return 0;
  switch (p->letter) {
  case JOB_PASSED:
  case JOB_LISTED: s->note = p->letter; return 1;
  case JOB_SOFAR:
    memcpy(s->sofar, p->text, p->textlen);
    s->sofarlen = p->textlen;
    return 1;
  }
  return 0;
}

/* One thing that a worker says: a note (1), or that it has delivered (0); -1 when it is neither. */
static int take_answer(struct slot *s, struct job_packet const *p)
{
  if (p->num != s->num) return -1;
  if (p->type == 'N') return take_note(s, p) ? 1 : -1;
  if (p->type != 'R' || p->letter != 'K') return -1;
  s->done++;
  s->len = strnlen(s->text, s->len);
  worker_say(s, 'K', p->text, strnlen(p->text, p->textlen));
  return 0;
}

/* From a worker that says anything else no more is heard. */
static void read_answers(struct lspawn *l, struct slot *s)
{
  struct job_packet *p = l->packet;
  int r = 1;
  while (r == 1 && s->sock != -1) {
    r = job_recv(s->sock, p);
    if (r != 1) break;
    if (p->job.fd != -1) close(p->job.fd);
    r = p->job.fd == -1 ? take_answer(s, p) : -1;
  }
  if (r != -1) return;
  if (s->pid) kill(s->pid, SIGKILL);
  close_fd(&s->sock);
  close_fd(&s->peer);
}

void worker_listen(struct lspawn *l, struct slot *s)
{
  read_report(s);
  read_answers(l, s);
}

/* Has the worker died before it read its job? That is still in the socket. */
static int not_begun(struct slot const *s)
{
  struct pollfd x = {.fd = s->peer, .events = POLLIN};
  return s->done && !s->timedout && poll(&x, 1, 0) == 1;
}

/* Another process takes the place of a worker that died before it began. */
static void begin_again(struct lspawn *l, struct slot *s)
{
  look_at_users(l);
  s->len = 0;
  forget_notes(s);
  set_end(l, s);
  char const *trouble = launch(l, s, 0);
  if (trouble) worker_defer(s, trouble);
}

void worker_ended(struct lspawn *l, struct slot *s, int wstat)
{
  if (s->timedout) kill(-s->pid, SIGKILL);
  s->pid = 0;
  if (s->state == IDLE) return worker_leave(s);
  if (s->state != RUNNING) return; /* send has to hear of its last delivery first */
  worker_listen(l, s);
  close_fd(&s->report);
  if (s->state != RUNNING) return;
  if (not_begun(s)) return begin_again(l, s);
  s->len = strnlen(s->text, s->len);
  judge(s, wstat);
}

void worker_rest(struct lspawn *l, struct slot *s)
{
  unsigned int n;
  known_keep(l, s);
  if (!s->pid || s->sock == -1 || s->timedout || s->done >= WORKER_JOBS || !tain_future(&s->end))
    return worker_leave(s);
  s->state = IDLE;
  tain_addsec_g(&s->deadline, WORKER_PAUSE);
  if (tain_less(&s->end, &s->deadline)) s->deadline = s->end;
  struct slot *oldest = oldest_idle(l, &n);
  if (n > l->idle) worker_leave(oldest);
}
