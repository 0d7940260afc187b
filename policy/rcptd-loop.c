/* rcptd-loop.c - the main process of pipit-rcptd: connections, questions and those that it asks
 *
 * Nothing here waits: a password database or a file system that hangs keeps back only the
 * questions that need it, and each of those only for RCPTD_SECONDS.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/selfpipe.h>
#include <skalibs/strerr.h>

#include "clock.h"
#include "control.h"
#include "fdpass.h"
#include "program.h"
#include "rcptd.h"
#include "signals.h"

#define CLIENTS_MAX  1000 /* connections; for one more, the one that was idle for longest is closed */
#define FILES_SPARE  12   /* descriptors for other purposes */
#define ACCEPT_BATCH 16
#define PAUSE_MS     100  /* when there is no memory for a connection */

enum stage { FREE, IDLE, PASSWD, LOOK };

struct client {
  enum stage stage;
  int fd;
  uint64_t since; /* IDLE: its last question; else when it asked */
  uint64_t turn;  /* PASSWD, LOOK: the lowest is the next one */
  struct question q;
};

/* A process that is asked one question at a time. */
struct helper {
  int fd;
  enum stage stage;      /* of those who wait for it */
  int busy;              /* it owes an answer */
  struct client *client; /* to this one; NULL: who has given up waiting */
  char const *name;
};

enum { AT_SIGNALS, AT_LISTENER, AT_LOOK, AT_PASSWD, AT_CLIENTS };

struct loop {
  struct rcptd *d;
  struct helper look, passwd;
  struct client *clients;
  size_t count; /* of them, those up to the last that was ever used */
  size_t max;
  uint64_t turn;
};

/* --- clients --- */

static void let_go(struct client *c)
{
  close(c->fd);
  judge_free(&c->q);
  *c = (struct client){.fd = -1, .q = QUESTION_ZERO};
}

static void reply(struct client *c, enum judgement answer)
{
  char byte = (char)answer;
  c->stage = IDLE;
  if (send(c->fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) let_go(c);
}

static void go_on(struct loop *o, struct client *c, enum judgement answer)
{
  if (answer != JUDGE_PASSWD && answer != JUDGE_LOOK) {
    reply(c, answer);
    return;
  }
  c->stage = answer == JUDGE_LOOK ? LOOK : PASSWD;
  c->turn = ++o->turn;
}

static void reread(struct judge *j)
{
  if (judge_load(j)) strerr_warni("settings read");
  else strerr_warnw(control_why(), "; the old settings stay");
}

static void take(struct loop *o, struct client *c)
{
  struct judge *j = &o->d->judge;
  char address[RCPTWIRE_MAX];
  ssize_t n = fdpass_recv(c->fd, address, sizeof address, MSG_DONTWAIT, 0, 0);
  if (n == -1 && errno == EAGAIN) return;
  if (n <= 0 || memchr(address, 0, (size_t)n)) {
    let_go(c);
    return;
  }
  if (judge_changed(j)) reread(j);
  c->since = clock_ms();
  go_on(o, c, judge_begin(j, &c->q, address, (size_t)n));
}

/* A place for one more, or NULL. */
static struct client *find_place(struct loop *o)
{
  struct client *oldest = 0;
  for (size_t i = 0; i < o->count; i++) {
    struct client *c = o->clients + i;
    if (c->stage == FREE) return c;
    if (c->stage == IDLE && (!oldest || c->since < oldest->since)) oldest = c;
  }
  if (o->count < o->max) return o->clients + o->count++;
  if (oldest) let_go(oldest);
  return oldest;
}

/* May this peer ask? The socket's mode says the same; but it lies in another account's directory. */
static int may_ask(struct rcptd const *d, int fd)
{
  struct ucred peer;
  socklen_t size = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (!peer.uid || peer.uid == geteuid() || peer.uid == d->judge.accounts->uid[ACCOUNT_SMTPD]);
}

static void take_in(struct loop *o)
{
  for (int i = 0; i < ACCEPT_BATCH; i++) {
    int fd = accept4(o->d->listener, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd == -1) {
      /* Who cannot be taken in stays there, and would wake us at once. */
      if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) clock_nap(PAUSE_MS);
      return;
    }
    struct client *c = may_ask(o->d, fd) ? find_place(o) : 0;
    if (!c) {
      close(fd);
      continue;
    }
    *c = (struct client){.stage = IDLE, .fd = fd, .since = clock_ms(), .q = QUESTION_ZERO};
  }
}

/* --- who is asked --- */

/* Give it the question that has waited for longest. */
static void ask(struct loop *o, struct helper *h)
{
  struct client *next = 0;
  if (h->busy) return;
  for (size_t i = 0; i < o->count; i++) {
    struct client *c = o->clients + i;
    if (c->stage == h->stage && (!next || c->turn < next->turn)) next = c;
  }
  if (!next) return;
  stralloc const *p = &next->q.packet;
  if (send(h->fd, p->s, p->len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)p->len)
    strerr_diefusys(EXIT_TEMPORARY, "ask the process that ", h->name);
  h->busy = 1;
  h->client = next;
}

static void hear(struct loop *o, struct helper *h)
{
  char answer[RCPTD_PACKET_MAX];
  struct judge *j = &o->d->judge;
  ssize_t n = recv(h->fd, answer, sizeof answer, MSG_DONTWAIT);
  if (n == -1 && errno == EAGAIN) return;
  if (n <= 0 || !h->busy) strerr_dief(EXIT_TEMPORARY, "lost the process that ", h->name);
  struct client *c = h->client;
  h->busy = 0;
  h->client = 0;
  if (!c) return;
  go_on(o, c, h->stage == PASSWD ? judge_passwd(j, &c->q, answer, (size_t)n)
                                 : judge_look(j, &c->q, (enum look)answer[0]));
}

static void give_up(struct loop *o, struct client *c)
{
  strerr_warnw("no answer in time from the process that ",
               c->stage == LOOK ? o->look.name : o->passwd.name);
  if (o->look.client == c) o->look.client = 0;
  if (o->passwd.client == c) o->passwd.client = 0;
  reply(c, JUDGE_TROUBLE);
}

/* --- the loop --- */

/* What is left to do, in milliseconds; -1: nothing. */
static int expire(struct loop *o)
{
  uint64_t now = clock_ms(), next = UINT64_MAX;
  for (size_t i = 0; i < o->count; i++) {
    struct client *c = o->clients + i;
    if (c->stage != PASSWD && c->stage != LOOK) continue;
    uint64_t end = c->since + RCPTD_SECONDS * 1000;
    if (end <= now) give_up(o, c);
    else if (end < next) next = end;
  }
  return next == UINT64_MAX ? -1 : (int)(next - now);
}

static void take_signals(struct loop *o)
{
  for (int sig; (sig = signals_next()) > 0;) {
    if (sig != SIGHUP) _exit(0);
    reread(&o->d->judge);
  }
}

/* Fill in what to wait for, and whose it is. */
static nfds_t prepare(struct loop *o, struct pollfd *x, struct client **owner)
{
  nfds_t n = AT_CLIENTS;
  for (size_t i = 0; i < o->count; i++) {
    struct client *c = o->clients + i;
    if (c->stage != IDLE) continue;
    owner[n] = c;
    x[n++] = (struct pollfd){.fd = c->fd, .events = POLLIN};
  }
  return n;
}

static void work(struct loop *o, int signals)
{
  static struct pollfd x[AT_CLIENTS + CLIENTS_MAX];
  static struct client *owner[AT_CLIENTS + CLIENTS_MAX];
  x[AT_SIGNALS] = (struct pollfd){.fd = signals, .events = POLLIN};
  x[AT_LISTENER] = (struct pollfd){.fd = o->d->listener, .events = POLLIN};
  x[AT_LOOK] = (struct pollfd){.fd = o->look.fd, .events = POLLIN};
  x[AT_PASSWD] = (struct pollfd){.fd = o->passwd.fd, .events = POLLIN};
  for (;;) {
    int wait = expire(o);
    ask(o, &o->look);
    ask(o, &o->passwd);
    nfds_t n = prepare(o, x, owner);
    if (poll(x, n, wait) == -1) {
      if (errno != EINTR) strerr_diefusys(EXIT_TEMPORARY, "poll");
      continue;
    }
    if (x[AT_SIGNALS].revents) take_signals(o);
    if (x[AT_LOOK].revents) hear(o, &o->look);
    if (x[AT_PASSWD].revents) hear(o, &o->passwd);
    for (nfds_t i = AT_CLIENTS; i < n; i++)
      if (x[i].revents) take(o, owner[i]);
    if (x[AT_LISTENER].revents) take_in(o);
  }
}

/* Raise the limit of open files as far as needed and allowed; the connections that it leaves. */
static size_t make_room(void)
{
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r) == -1) strerr_diefusys(EXIT_TEMPORARY, "read limits");
  rlim_t want = CLIENTS_MAX + FILES_SPARE;
  if (r.rlim_cur < want) r.rlim_cur = want < r.rlim_max ? want : r.rlim_max;
  setrlimit(RLIMIT_NOFILE, &r);
  if (r.rlim_cur <= FILES_SPARE) strerr_dief(EXIT_TEMPORARY, "the limit of open files is too low");
  return r.rlim_cur < want ? (size_t)r.rlim_cur - FILES_SPARE : CLIENTS_MAX;
}

void loop_run(struct rcptd *d)
{
  static struct client clients[CLIENTS_MAX];
  struct loop o = {
      .d = d,
      .look = {.fd = d->look, .stage = LOOK, .name = "looks into homes"},
      .passwd = {.fd = d->passwd, .stage = PASSWD, .name = "asks the password database"},
      .clients = clients,
      .max = make_room(),
  };
  int signals = selfpipe_init();
  if (signals == -1 || !selfpipe_trap(SIGTERM) || !selfpipe_trap(SIGINT) || !selfpipe_trap(SIGHUP))
    strerr_diefusys(EXIT_TEMPORARY, "trap signals");
  program_ready(d->ready_fd);
  work(&o, signals);
}
