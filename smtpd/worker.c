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

int worker_give(int to, int fd, char const ip[INET6_ADDRSTRLEN], stralloc const *rule)
{
  struct iovec v[2] = { { (char *)ip, INET6_ADDRSTRLEN }, { rule->s, rule->len } };
  return rule->len <= WORKER_RULE_MAX && fdpass_send(to, v, 2, &fd, 1) == 1;
}

/* Logs, replies and addresses went over the stack: no later session is to find them there. */
static void __attribute__((noinline)) wipe_stack(void)
{
  char used[STACK_WIPED];
  explicit_bzero(used, sizeof used);
}

/* Wait for the next client: its connection, or -1 when none will come. */
static int next(struct worker *w, struct client *client, stralloc *rule)
{
  static struct packet p;
  int fd;
  memset(&p, 0, sizeof p);
  ssize_t n = fdpass_recv(w->from, (char *)&p, sizeof p, 0, &fd, 1);
  if (n == -1) {
    /* None came for a while, or it is time to end; but one may be on its way. */
    shutdown(w->from, SHUT_RD);
    n = fdpass_recv(w->from, (char *)&p, sizeof p, MSG_DONTWAIT, &fd, 1);
    w->from = -1;
  }
  if (fd == -1 || n < (ssize_t)sizeof p.ip) return -1;
  memset(client, 0, sizeof *client);
  memcpy(client->ip, p.ip, sizeof p.ip - 1);
  rule->s = p.rule;
  rule->len = (size_t)n - sizeof p.ip;
  return fd;
}

/* Tell the parent before the client can know: its next connection is not to be one too many. */
static int tell_idle(struct worker const *w)
{
  pid_t pid = getpid();
  return write(w->idle, &pid, sizeof pid) == sizeof pid;
}

void worker_run(struct worker *w, int fd, struct client const *client, stralloc const *rule)
{
  struct client c = *client;
  stralloc r = STRALLOC_ZERO;
  for (int n = 1; fd != -1; n++) {
    w->smtpd.again = w->from != -1 && n < WORKER_SESSIONS;
    if (smtpd_serve(&w->smtpd, &c, n == 1 ? rule : &r, fd, fd) != SERVED_AGAIN) break;
    wipe_stack();
    if (!tell_idle(w)) _exit(0);
    close(fd);
    fd = next(w, &c, &r);
  }
  if (w->from != -1) shutdown(w->from, SHUT_RD); /* nothing can be handed over any more */
  if (fd != -1) tell_idle(w);
  _exit(0);
}
