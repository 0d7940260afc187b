/* children.c - the keeper and the feeder: start them, mend them, hear them; see send.h
 *
 * Both are forked without exec. They hear of the end of send by the end of
 * their socket, so signals to the group do not concern them. The keeper keeps
 * the lock of the queue: no other send starts before it is through.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/selfpipe.h>
#include <skalibs/sig.h>

#include "clock.h"
#include "feeder.h"
#include "keeper.h"
#include "log.h"
#include "program.h"
#include "send.h"

#define RESTART_WAIT 1000  /* milliseconds between two starts of a child that dies */
#define NAP_MS       10    /* when the kernel has no memory */
#define END_WAIT     20000 /* milliseconds that the keeper has for its end */
#define END_KEEPERS  3     /* that may be killed meanwhile */

static void ignore_signals(void)
{
  static int const ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGALRM };
  selfpipe_finish();
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) sig_ignore(ignored[i]);
}

static void close_all(struct send *s)
{
  int const fds[] = { s->spawners[CHANNEL_LOCAL].fd, s->spawners[CHANNEL_REMOTE].fd, s->keeper.fd,
                      s->feeder, s->trigger, s->trigger_writer, s->readyfd };
  command_close(s);
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
    if (fds[i] != -1) close(fds[i]);
}

/* Fork, with a socketpair: our end in <*sock>. 0 in the child, whose end that is there. */
static pid_t fork_child(struct send *s, int *sock)
{
  int p[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p) == -1) return -1;
  pid_t pid = fork();
  if (pid == -1) {
    close(p[0]);
    close(p[1]);
    return -1;
  }
  if (!pid) {
    ignore_signals();
    close_all(s);
  }
  close(p[pid == 0 ? 0 : 1]);
  *sock = p[pid == 0 ? 1 : 0];
  return pid;
}

static int start_keeper(struct send *s)
{
  int sock;
  pid_t pid = fork_child(s, &sock);
  if (pid == -1) return 0;
  if (!pid) _exit(keeper_run(sock, s->queuefd, s->split));
  keeper_attach(&s->keeper, sock, pid);
  return 1;
}

static int start_feeder(struct send *s)
{
  int sock;
  pid_t pid = fork_child(s, &sock);
  if (pid == -1) return 0;
  if (!pid) {
    close(s->lockfd);
    close(s->queuefd);
    feeder_run(sock);
  }
  s->feeder = sock;
  s->feeder_pid = pid;
  s->spawners[CHANNEL_LOCAL].stalled = 0;
  return 1;
}

int children_start(struct send *s)
{
  return start_keeper(s) && start_feeder(s);
}

/* What the old keeper was asked and did not answer is asked again. */
static void ask_again(struct send *s)
{
  for (struct msg *m = s->first; m; m = m->next) {
    if (m->phase == PHASE_CHECKING) message_tell(s, m, 'C', "", 0);
    if (m->phase == PHASE_FINISHING) message_tell(s, m, 'F', m->failed ? "\1" : "", m->failed != 0);
  }
}

void children_mend(struct send *s)
{
  uint64_t now = clock_ms();
  if (s->keeper.fd == -1 && now >= s->keeper_at) {
    s->keeper_at = now + RESTART_WAIT;
    if (start_keeper(s)) ask_again(s);
    else log_unable("start", "keeper");
  }
  if (s->feeder == -1 && now >= s->feeder_at) {
    s->feeder_at = now + RESTART_WAIT;
    if (!start_feeder(s)) log_unable("start", "feeder");
  }
}

static void lost_keeper(struct send *s)
{
  log_warning("the keeper died, starting another one");
  keeper_detach(&s->keeper);
}

void children_reap(struct send *s)
{
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == s->keeper.pid) lost_keeper(s);
    if (pid != s->feeder_pid) continue;
    log_warning("the feeder died, starting another one");
    close(s->feeder);
    s->feeder = -1;
    s->feeder_pid = 0;
  }
}

static void obey(struct send *s, struct keeper_reply const *r)
{
  struct msg *m = message_find(s, r->id);
  switch (r->type) {
  case 'Y':
    program_ready(s->readyfd);
    s->readyfd = -1;
    scan_start(s);
    break;
  case 'A':
    keeper_covered(&s->keeper, r->num);
    message_settled(s, r->num);
    break;
  case 'N': message_new(s, r->id, 0, WAIT_CHECK); break;
  case 'H': command_told(s, r); break;
  case 'E':
    if (!m || m->phase != PHASE_FINISHING) break;
    log_end(r->id);
    message_leave(s, m, 0);
    break;
  case 'T':
    if (m && m->phase == PHASE_FINISHING) message_unfinished(s, m);
    else if (m && m->phase == PHASE_CHECKING) message_leave(s, m, clock_ms() + TROUBLE_WAIT);
    break;
  case 'O':
    if (m && m->phase == PHASE_CHECKING) message_checked(s, m);
    break;
  case 'B':
    if (m && m->phase == PHASE_CHECKING) message_leave(s, m, 0);
    break;
  }
}

void keeper_obey(struct send *s)
{
  struct keeper_reply r;
  int got;
  while ((got = keeper_hear(&s->keeper, &r)) == 1) obey(s, &r);
  if (got == -1) {
    close(s->keeper.fd); /* its death is told by SIGCHLD */
    s->keeper.fd = -1;
    s->keeper_at = clock_ms() + RESTART_WAIT;
  }
}

/* Push what is kept, until the keeper has taken it or <deadline> has come. */
static void push_all(struct send *s, uint64_t deadline)
{
  for (;;) {
    struct keeper_reply r;
    uint64_t now = clock_ms();
    keeper_push(&s->keeper);
    if (s->keeper.fd == -1 || s->keeper.unsent == s->keeper.kept.len || now >= deadline) return;
    struct pollfd p = { s->keeper.fd, POLLIN | POLLOUT, 0 };
    if (poll(&p, 1, (int)(deadline - now)) == -1) clock_nap(NAP_MS);
    while (keeper_hear(&s->keeper, &r) == 1) {}
    if (p.revents & (POLLHUP | POLLERR)) return;
  }
}

/* Hear it out until it is gone. 1 it is, 0 at <deadline>. */
static int hear_end(struct send *s, uint64_t deadline)
{
  for (;;) {
    struct keeper_reply r;
    uint64_t now = clock_ms();
    struct pollfd p = { s->keeper.fd, POLLIN, 0 };
    int ready = now < deadline ? poll(&p, 1, (int)(deadline - now)) : 0;
    if (!ready) return 0;
    if (ready == -1) clock_nap(NAP_MS);
    int got;
    while ((got = keeper_hear(&s->keeper, &r)) == 1)
      if (r.type == 'E') log_end(r.id);
    if (got == -1) return 1;
  }
}

/* Was it killed before it had written everything? */
static int was_killed(pid_t pid)
{
  int status;
  return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status);
}

/* A keeper that is killed now has a successor as well: nobody else knows what it had not written. */
void children_stop(struct send *s)
{
  uint64_t deadline = clock_ms() + END_WAIT;
  if (s->feeder != -1) close(s->feeder);
  for (int i = 0; i < END_KEEPERS; i++) {
    if (s->keeper.fd == -1 && !start_keeper(s)) return;
    push_all(s, deadline);
    shutdown(s->keeper.fd, SHUT_WR);
    if (!hear_end(s, deadline) || !was_killed(s->keeper.pid)) return;
    keeper_detach(&s->keeper);
  }
}
