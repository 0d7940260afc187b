/* listen.c - the loop of the listener; see listen.h
 *
 * A child is forked without exec: everything is loaded and checked already, and
 * an exec would cost more than the session. It serves further clients when it
 * can (worker.h), because the fork costs as much as a session of one message. The
 * parent never waits for a client: who does not fit gets one line, if the
 * socket takes it, and goes.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/selfpipe.h>
#include <skalibs/sig.h>
#include <skalibs/strerr.h>

#include "auth.h"
#include "clock.h"
#include "handed.h"
#include "listen.h"
#include "logline.h"
#include "mode.h"
#include "program.h"
#include "recipient.h"
#include "session.h"
#include "sessions.h"
#include "signals.h"
#include "tcprules.h"
#include "worker.h"

#define ACCEPT_BATCH     64   /* connections taken in a row before signals are looked at */
#define PAUSE_MS         1000 /* without accepting, when descriptors or memory are short */
#define CHECK_MS         1000 /* how often control files are looked at for changes */
#define SHUTDOWN_SECONDS 60   /* for sessions to end after SIGTERM */

struct loop {
  struct listener *l;
  int signals; /* selfpipe */
  int stopping;
  int idle[2]; /* the pipe over which children tell that they are */
  struct sessions running;
  int64_t paused_until;
  int64_t checked;
  stralloc rule;
};

static volatile sig_atomic_t stop_session;

static void on_term(int sig)
{
  (void)sig;
  stop_session = 1;
}

/* --- clients that are not served --- */

static void turn_away(int fd, char const *ip, char const *reply, char const *reason)
{
  struct logline l = LOGLINE_ZERO;
  char line[128];
  int n = snprintf(line, sizeof line, "%s\r\n", reply);
  send(fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
  logline_text(&l, mode.program);
  logline_text(&l, ": turned away");
  logline_key(&l, "ip", ip);
  logline_key(&l, "reply", reply);
  logline_key(&l, "reason", reason);
  logline_write(&l);
}

/* A client that pipit-handover gave: its program is to serve it. */
static void hand_back(int front, char const *ip, char const *reason)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, mode.program);
  logline_text(&l, ": handed back");
  logline_key(&l, "ip", ip);
  logline_key(&l, "reason", reason);
  logline_write(&l);
  handed_refuse(front);
}

static unsigned long limit(unsigned long option, unsigned long setting)
{
  return option ? option : setting;
}

/* Does the client's rule let it relay? Then it may have as many sessions as there are. */
static int is_relay(stralloc const *rule)
{
  return getenv("RELAYCLIENT") || tcprules_value(rule, "RELAYCLIENT");
}

static int is_full(struct loop const *p)
{
  return p->running.busy >= limit(p->l->sessions, p->l->settings->sessions);
}

/* May the client at <fd> have a session? 0 after it was turned away. */
static int admit(struct loop *p, int fd, char const *ip, uint64_t network)
{
  struct listener const *l = p->l;
  switch (access_check(&l->access, ip, &p->rule)) {
    case 1: break;
    case 0: turn_away(fd, ip, mode.denied, "denied by the tcprules file"); return 0;
    default:
      turn_away(fd, ip, mode.trouble, "damaged tcprules file");
      return 0;
  }
  if (is_full(p)) {
    turn_away(fd, ip, mode.full, mode.limit);
    return 0;
  }
  if (sessions_of(&p->running, network) >= limit(l->per_client, l->settings->per_client) &&
      !is_relay(&p->rule)) {
    turn_away(fd, ip, mode.full_client, mode.limit_client);
    return 0;
  }
  return 1;
}

/* --- the child --- */

static void set_number(char const *name, unsigned int n)
{
  char text[16];
  snprintf(text, sizeof text, "%u", n);
  setenv(name, text, 1);
}

static unsigned int port_of(struct sockaddr_storage const *sa)
{
  if (sa->ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 const *)sa)->sin6_port);
  return ntohs(((struct sockaddr_in const *)sa)->sin_port);
}

/* What tcpserver would have set: only a program that a session runs can see it. */
static void make_environment(struct client *c, int fd)
{
  struct sockaddr_storage local, peer;
  socklen_t len = sizeof local, peerlen = sizeof peer;
  if (getsockname(fd, (struct sockaddr *)&local, &len) == -1 ||
      getpeername(fd, (struct sockaddr *)&peer, &peerlen) == -1)
    return;
  client_address(c->localip, &local);
  setenv("PROTO", "TCP", 1);
  setenv("TCPREMOTEIP", c->ip, 1);
  set_number("TCPREMOTEPORT", port_of(&peer));
  setenv("TCPLOCALIP", c->localip, 1);
  set_number("TCPLOCALPORT", port_of(&local));
}

/* <from> is the worker's end of a socketpair, or -1. */
static void child(struct loop *p, struct guest *g, int from)
{
  struct access const *a = &p->l->access;
  struct worker w = { .smtpd = { .settings = p->l->settings, .stop = &stop_session,
                                 .confined = !a->allow_program },
                      .from = from, .idle = p->idle[1] };
  sockets_close(&p->l->sockets);
  sessions_retire_all(&p->running); /* our copies: whoever waits there must see the parent end */
  close(p->idle[0]);
  sig_altignore(SIGHUP); /* it is for the listener */
  sig_catch(SIGTERM, on_term); /* one may be waiting */
  signals_leave(p->signals, (int const[]){ SIGCHLD, SIGINT, 0 });
  if (a->allow_program) access_apply(&p->rule);
  if (submit_uses_program() || recipient_runs_program() || auth_runs_program())
    make_environment(&g->client, g->fd);
  worker_run(&w, g, a->allow_program ? 0 : &p->rule);
}

/* --- the parent --- */

/* A child for this connection. It may serve others, unless a program can be run
 * for one of them (then each has an environment of its own), or descriptors are
 * short: a socketpair takes two at first, so the one that is kept leaves one to accept. */
static void start_child(struct loop *p, struct guest *g, uint64_t network)
{
  int ends[2] = { -1, -1 };
  if (!p->l->access.allow_program && !worker_pair(ends)) ends[0] = ends[1] = -1;
  pid_t pid = sessions_reserve(&p->running) ? program_fork() : -1;
  if (pid == -1 && g->front != -1)
    hand_back(g->front, g->client.ip, strerror(errno));
  else if (pid == -1)
    turn_away(g->fd, g->client.ip, mode.trouble, strerror(errno));
  if (!pid) {
    if (ends[0] != -1) close(ends[0]);
    child(p, g, ends[1]);
  }
  if (ends[1] != -1) close(ends[1]);
  if (pid > 0) sessions_add(&p->running, pid, ends[0], network);
  else if (ends[0] != -1) close(ends[0]);
}

static int give(struct loop *p, struct guest const *g, uint64_t network)
{
  for (struct running *r; (r = sessions_idle(&p->running));) {
    if (worker_give(r->fd, g, &p->rule)) {
      sessions_begin(&p->running, r, network);
      return 1;
    }
    sessions_retire(r);
  }
  return 0;
}

static void hear_idle(struct loop *p)
{
  pid_t pids[128];
  ssize_t n;
  do {
    n = read(p->idle[0], pids, sizeof pids);
    for (ssize_t i = 0; i < n / (ssize_t)sizeof *pids; i++) sessions_ended(&p->running, pids[i]);
  } while (n == sizeof pids);
}

static void serve(struct loop *p, struct guest *g, uint64_t network)
{
  if (!give(p, g, network)) start_child(p, g, network);
}

/* A client that has connected. */
static void serve_own(struct loop *p, int fd, struct sockaddr_storage const *peer)
{
  struct guest g = { .fd = fd, .front = -1, .client = { .ip = "unknown" } };
  uint64_t network = sessions_network(peer);
  client_address(g.client.ip, peer);
  hear_idle(p);
  if (admit(p, fd, g.client.ip, network)) serve(p, &g, network);
}

/* A client that pipit-handover gives, which has connected. Rules and the limit for each
 * client are the affair of whoever started that. */
static void serve_handed(struct loop *p, int front, struct sockaddr_storage const *peer)
{
  struct guest g;
  (void)peer;
  if (!handed_take(front, &g, &p->rule)) {
    hand_back(front, "unknown", handed_why());
    return;
  }
  hear_idle(p);
  if (p->l->access.allow_program) hand_back(front, g.client.ip, "program");
  else if (is_full(p)) hand_back(front, g.client.ip, mode.limit);
  else serve(p, &g, SESSIONS_NO_NETWORK);
  close(g.fd);
}

/* Errors of one connection that did not come about; all others concern us. */
static int is_passing(int e)
{
  return e == EINTR || e == ECONNABORTED || e == EPROTO || e == ENETDOWN || e == ENOPROTOOPT ||
         e == EHOSTDOWN || e == ENONET || e == EHOSTUNREACH || e == EOPNOTSUPP || e == ENETUNREACH;
}

static void accept_some(struct loop *p, int listening)
{
  void (*serve_one)(struct loop *, int, struct sockaddr_storage const *) =
    listening == p->l->sockets.handover ? serve_handed : serve_own;
  for (int i = 0; i < ACCEPT_BATCH; i++) {
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    int fd = accept4(listening, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
    if (fd != -1) {
      serve_one(p, fd, &peer);
      close(fd);
    } else if (errno == EAGAIN) {
      return;
    } else if (!is_passing(errno)) {
      strerr_warnwusys("accept a connection; pausing");
      p->paused_until = (int64_t)clock_ms() + PAUSE_MS;
      return;
    }
  }
}

static void reread(struct loop *p, int always)
{
  if (always || settings_changed(p->l->settings)) {
    if (!settings_load(p->l->settings, 1)) {
      strerr_warnw(settings_why(), "; the old settings stay");
      return;
    }
    sessions_retire_all(&p->running); /* they have the old ones */
    strerr_warni("settings read");
  }
}

static void reread_rules(struct loop *p)
{
  if (!p->l->sockets.count) return;
  if (!access_refresh(&p->l->access)) strerr_warnw(access_why(), "; the old rules stay");
}

/* As under tcpserver, a new session sees what the control files say now. */
static void look_for_changes(struct loop *p)
{
  int64_t t = (int64_t)clock_ms();
  reread_rules(p);
  if (t - p->checked < CHECK_MS) return;
  p->checked = t;
  reread(p, 0);
}

static void reap(struct loop *p)
{
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    sessions_remove(&p->running, pid);
    if (!WIFSIGNALED(status)) continue;
    struct logline l = LOGLINE_ZERO;
    logline_text(&l, mode.program);
    logline_text(&l, ": alert: session crashed");
    logline_keyn(&l, "pid", (uint64_t)pid);
    logline_keyn(&l, "signal", (uint64_t)WTERMSIG(status));
    logline_write(&l);
  }
}

static void take_signals(struct loop *p)
{
  for (int sig; (sig = signals_next()) > 0;) {
    if (sig == SIGCHLD) {
      reap(p);
    } else if (sig == SIGHUP) {
      reread(p, 1);
      reread_rules(p);
    } else {
      p->stopping = 1;
    }
  }
}

static void wait_and_accept(struct loop *p)
{
  struct pollfd x[SOCKETS_MAX + 2] = { { .fd = p->signals, .events = POLLIN } };
  struct sockets const *s = &p->l->sockets;
  int64_t pause = p->paused_until - (int64_t)clock_ms();
  nfds_t n = 1;
  for (size_t i = 0; pause <= 0 && i < s->count; i++)
    x[n++] = (struct pollfd){ .fd = s->fd[i], .events = POLLIN };
  if (pause <= 0) x[n++] = (struct pollfd){ .fd = s->handover, .events = POLLIN };
  if (poll(x, n, pause > 0 ? (int)pause : -1) == -1 && errno != EINTR) {
    strerr_warnwusys("poll; pausing");
    clock_nap(PAUSE_MS);
    return;
  }
  if (x[0].revents) take_signals(p);
  for (nfds_t i = 1; i < n && !p->stopping; i++) {
    if (!x[i].revents) continue;
    look_for_changes(p);
    accept_some(p, x[i].fd);
  }
}

/* Nobody new gets in; sessions end after their message, and are ended after a minute. */
static void shut_down(struct loop *p)
{
  sockets_close(&p->l->sockets);
  sessions_retire_all(&p->running); /* for those that have just looked whether they are to stop */
  for (int second = 0; second < SHUTDOWN_SECONDS && p->running.count; second++) {
    int64_t end = (int64_t)clock_ms() + 1000;
    /* Again every second: a session may just have been about to wait. */
    sessions_kill(&p->running, SIGTERM);
    for (int64_t left; p->running.count && (left = end - (int64_t)clock_ms()) > 0;) {
      struct pollfd x = { .fd = p->signals, .events = POLLIN };
      if (poll(&x, 1, (int)left) > 0) take_signals(p);
    }
  }
  sessions_kill(&p->running, SIGKILL);
}

static int catch_signals(void)
{
  int fd = selfpipe_init();
  if (fd == -1 || !selfpipe_trap(SIGCHLD) || !selfpipe_trap(SIGHUP) || !selfpipe_trap(SIGTERM) ||
      !selfpipe_trap(SIGINT))
    return -1;
  return fd;
}

/* These describe one connection: left over from whatever started us, they would lie. */
static void clean_environment(void)
{
  for (char const *const *name = client_variables; *name; name++)
    if (!strncmp(*name, "TCP", 3)) unsetenv(*name);
  tls_forget_ucspi();
}

int listen_run(struct listener *l)
{
  struct loop p = { .l = l, .rule = STRALLOC_ZERO };
  p.signals = catch_signals();
  if (p.signals == -1) {
    strerr_warnwusys("catch signals");
    return EXIT_TEMPORARY;
  }
  if (pipe2(p.idle, O_CLOEXEC | O_NONBLOCK) == -1) {
    strerr_warnwusys("make a pipe");
    return EXIT_TEMPORARY;
  }
  clean_environment();
  program_ready(l->ready_fd);
  while (!p.stopping) wait_and_accept(&p);
  shut_down(&p);
  return 0;
}
