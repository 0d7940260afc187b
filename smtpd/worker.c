/* worker.c - one client after the other; see worker.h */

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "fdpass.h"
#include "worker.h"

#define STACK_WIPED 16384 /* bytes: more than a session uses */

struct packet {
  char ip[INET6_ADDRSTRLEN];
  char rule[WORKER_RULE_MAX];
};

int worker_pair(int fd[2])
{
  struct timeval const idle = { .tv_sec = WORKER_IDLE_SECONDS };
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) == -1) return 0;
  if (setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle) == 0) return 1;
  close(fd[0]);
  close(fd[1]);
  return 0;
}

int worker_give(int to, struct guest const *g, stralloc const *rule)
{
  struct iovec v[2] = { { (char *)g->client.ip, sizeof g->client.ip }, { rule->s, rule->len } };
  int const fds[2] = { g->fd, g->front };
  return rule->len <= WORKER_RULE_MAX && fdpass_send(to, v, 2, fds, 2) == 1;
}

/* Logs, replies and addresses went over the stack: no later session is to find them there. */
static void __attribute__((noinline)) wipe_stack(void)
{
  char used[STACK_WIPED];
  explicit_bzero(used, sizeof used);
}

/* Wait for the next client; g->fd is -1 when none will come. */
static void next(struct worker *w, struct guest *g, stralloc *rule)
{
  static struct packet p;
  int fds[2];
  memset(&p, 0, sizeof p);
  ssize_t n = fdpass_recv(w->from, (char *)&p, sizeof p, 0, fds, 2);
  if (n == -1) {
    /* None came for a while, or it is time to end; but one may be on its way. */
    shutdown(w->from, SHUT_RD);
    n = fdpass_recv(w->from, (char *)&p, sizeof p, MSG_DONTWAIT, fds, 2);
    w->from = -1;
  }
  *g = (struct guest){ .fd = n < (ssize_t)sizeof p.ip ? -1 : fds[0], .front = fds[1] };
  if (g->fd == -1) return;
  memcpy(g->client.ip, p.ip, sizeof p.ip - 1);
  rule->s = p.rule;
  rule->len = (size_t)n - sizeof p.ip;
}

/* Tell the parent before the client can know: its next connection is not to be one too many. */
static int tell_idle(struct worker const *w)
{
  pid_t pid = getpid();
  return write(w->idle, &pid, sizeof pid) == sizeof pid;
}

void worker_run(struct worker *w, struct guest const *first, stralloc const *rule)
{
  struct guest g = *first;
  stralloc r = STRALLOC_ZERO;
  for (int n = 1; g.fd != -1; n++) {
    w->smtpd.again = w->from != -1 && n < WORKER_SESSIONS;
    if (smtpd_serve(&w->smtpd, &g.client, n == 1 ? rule : &r, g.fd, g.fd) != SERVED_AGAIN) break;
    wipe_stack();
    if (!tell_idle(w)) _exit(0);
    close(g.fd);
    if (g.front != -1) close(g.front);
    next(w, &g, &r);
  }
  if (w->from != -1) shutdown(w->from, SHUT_RD); /* nothing can be handed over any more */
  if (g.fd != -1) tell_idle(w);
  _exit(0);
}
