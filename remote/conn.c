/* conn.c - talk to an SMTP or LMTP server; see conn.h */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>
#include <skalibs/iopause.h>

#include "conn.h"

/* Wait for <events> until <deadline> or the connection's limit. The events that
 * are there; 0 when it is too late, -1 with errno. */
static int wait_for(struct conn *c, short events, tain const *deadline)
{
  iopause_fd x = { .fd = c->fd, .events = events };
  int r = iopause_g(&x, 1, tain_less(&c->limit, deadline) ? &c->limit : deadline);
  return r <= 0 ? r : x.revents;
}

static socklen_t fill_address(struct sockaddr_storage *sa, struct dns_ip const *ip, unsigned int port)
{
  memset(sa, 0, sizeof *sa);
  sa->ss_family = (sa_family_t)ip->family;
  if (ip->family == AF_INET) {
    struct sockaddr_in *in = (struct sockaddr_in *)sa;
    memcpy(&in->sin_addr, ip->ip, 4);
    in->sin_port = htons((uint16_t)port);
    return sizeof *in;
  }
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
  memcpy(&in6->sin6_addr, ip->ip, 16);
  in6->sin6_port = htons((uint16_t)port);
  return sizeof *in6;
}

/* Wait for a connect() that is under way. 1, or 0 with errno. */
static int finish_connect(struct conn *c, unsigned int seconds)
{
  tain deadline;
  int e = 0;
  socklen_t len = sizeof e;
  tain_addsec_g(&deadline, (int)seconds);
  int r = wait_for(c, IOPAUSE_WRITE, &deadline);
  if (!r) errno = ETIMEDOUT;
  if (r <= 0) return 0;
  if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len) == -1) return 0;
  errno = e;
  return e == 0;
}

static void forget(struct conn *c)
{
  c->pipelining = c->eightbitmime = c->size = c->dsn = c->starttls = c->dirty = c->ahead = 0;
  c->login = c->auth = 0;
  c->sizelimit = 0;
  memset(&c->limits, 0, sizeof c->limits);
  c->messages = 0;
  c->inpos = c->inlen = 0;
}

/* The port is chosen when it connects: so there are as many as destinations allow. */
static int bind_to(struct conn *c, struct dns_ip const *from)
{
  struct sockaddr_storage sa;
  int one = 1;
  if (!from->family) return 1;
  socklen_t len = fill_address(&sa, from, 0);
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  if (bind(c->fd, (struct sockaddr *)&sa, len) == 0) return 1;
  inet_ntop(from->family, from->ip, c->name, sizeof c->name);
  return 0;
}

static int open_tcp(struct conn *c, struct place const *p, unsigned int seconds)
{
  struct sockaddr_storage sa;
  socklen_t salen = fill_address(&sa, &p->ip, p->port);
  int one = 1;
  inet_ntop(p->ip.family, p->ip.ip, c->name, sizeof c->name);
  memcpy(c->host, p->name, sizeof c->host);
  c->port = p->port;
  c->fd = socket(p->ip.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd == -1 || !bind_to(c, &p->from)) return 0;
  return (connect(c->fd, (struct sockaddr *)&sa, salen) == 0 ||
          (errno == EINPROGRESS && finish_connect(c, seconds))) &&
         setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0;
}

/* Limit what blocks on the connection, as wait_for would. 1, or 0 with errno. */
static int limit_blocking(struct conn *c, unsigned int seconds)
{
  tain deadline, left;
  struct timeval t;
  tain_addsec_g(&deadline, (int)seconds);
  if (tain_less(&c->limit, &deadline)) deadline = c->limit;
  if (!tain_future(&deadline)) return (errno = ETIMEDOUT, 0);
  tain_sub(&left, &deadline, &STAMP);
  if (!timeval_from_tain_relative(&t, &left)) return 0;
  if (!t.tv_sec && !t.tv_usec) t.tv_usec = 1; /* 0 is without a limit */
  return setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) == 0;
}

/* A socket whose backlog is full fails at once for who does not block, and nothing tells when to try
 * again: so this blocks. */
static int open_unix(struct conn *c, struct place const *p, unsigned int seconds)
{
  struct sockaddr_un sa = { .sun_family = AF_UNIX };
  memcpy(sa.sun_path, p->path, strlen(p->path) + 1);
  memcpy(c->name, p->path, strlen(p->path) + 1);
  c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd == -1 || !limit_blocking(c, seconds)) return 0;
  int r = connect(c->fd, (struct sockaddr *)&sa, sizeof sa);
  if (r == -1 && errno == EAGAIN) errno = ETIMEDOUT;
  tain_now_g();
  return r == 0 && ndelay_on(c->fd) == 0;
}

int conn_is_secure(struct conn const *c)
{
  return c->secure;
}

char const *conn_protocol(struct conn const *c)
{
  return c->lmtp ? "LMTP" : "SMTP";
}

int conn_open(struct conn *c, struct place const *p, unsigned int seconds)
{
  forget(c);
  *c->tls = c->secure = 0;
  c->lmtp = p->lmtp;
  if (*p->path ? open_unix(c, p, seconds) : open_tcp(c, p, seconds)) return 1;
  int e = errno;
  conn_close(c);
  errno = e;
  return 0;
}

void conn_close(struct conn *c)
{
  if (c->fd != -1) close(c->fd);
  c->fd = -1;
}

int conn_secure(struct conn *c, int plain)
{
  if (dup3(plain, c->fd, O_CLOEXEC) == -1 || ndelay_on(c->fd) == -1) return 0;
  forget(c);
  c->secure = 1;
  return 1;
}

/* Read what is there into the buffer, which was used up. 1 something, 0 nothing
 * yet, -1 the other side has ended it. */
static int fill(struct conn *c)
{
  ssize_t r = fd_read(c->fd, c->in, sizeof c->in);
  if (r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
  if (r <= 0) return -1;
  c->inpos = 0;
  c->inlen = (size_t)r;
  return 1;
}

/* Take a reply out of the buffer. 1 in c->reply, 0 more is needed, -1 malformed. */
static int take_reply(struct conn *c)
{
  size_t used;
  enum smtpreply_state s = smtpreply_feed(&c->reply, c->in + c->inpos, c->inlen - c->inpos, &used);
  c->inpos += used;
  if (s == SMTPREPLY_MALFORMED) return -1;
  return s == SMTPREPLY_COMPLETE;
}

struct group { /* an exchange under way */
  struct iovec out[2]; /* what is still to be sent: the end of a message, commands */
  int broken;          /* it cannot be */
  size_t done, replies;
  unsigned int block, seconds;
  tain deadline; /* of the next reply; before that, while there is text to be sent, of writing */
  conn_reply_func *f;
  void *arg;
};

static int unsent(struct group const *g)
{
  return !g->broken && (g->out[0].iov_len || g->out[1].iov_len);
}

static size_t shorten(struct iovec *v, size_t n)
{
  if (n > v->iov_len) n = v->iov_len;
  v->iov_base = (char *)v->iov_base + n;
  v->iov_len -= n;
  return n;
}

/* Write what can be written. After an error there may be a reply that says why:
 * nothing more is written, and reading finds the end. */
static void push(struct conn *c, struct group *g)
{
  while (unsent(g)) {
    ssize_t w = fd_writev(c->fd, g->out, 2);
    if (w == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    size_t text = g->out[0].iov_len;
    if (w <= 0) g->broken = 1;
    else shorten(g->out + 1, (size_t)w - shorten(g->out, (size_t)w));
    if (text) tain_addsec_g(&g->deadline, (int)(g->out[0].iov_len ? g->block : g->seconds));
  }
}

/* Hand out the replies that are in the buffer. */
static enum conn_status pull(struct conn *c, struct group *g)
{
  while (g->done < g->replies && c->inpos < c->inlen) {
    int r = take_reply(c);
    if (r == -1) return CONN_MALFORMED;
    if (!r) return CONN_OK;
    if (c->reply.code == 421) return CONN_421;
    if (g->out[0].iov_len) return CONN_EARLY;
    if (!g->f(g->arg, g->done, &c->reply)) return CONN_MALFORMED;
    if (++g->done < g->replies) smtpreply_start(&c->reply);
    tain_addsec_g(&g->deadline, (int)g->seconds);
  }
  return CONN_OK;
}

static enum conn_status run(struct conn *c, struct group *g)
{
  smtpreply_start(&c->reply);
  tain_addsec_g(&g->deadline, (int)(g->out[0].iov_len ? g->block : g->seconds));
  push(c, g);
  enum conn_status s = pull(c, g);
  while (s == CONN_OK && g->done < g->replies) {
    int events = wait_for(c, (short)(IOPAUSE_READ | (unsent(g) ? IOPAUSE_WRITE : 0)), &g->deadline);
    if (events <= 0) return events ? CONN_DIED : CONN_TIMEOUT;
    if (events & IOPAUSE_WRITE) push(c, g);
    if (!(events & (IOPAUSE_READ | IOPAUSE_EXCEPT))) continue;
    s = fill(c) == -1 ? CONN_DIED : pull(c, g);
  }
  return s;
}

enum conn_status conn_exchange(struct conn *c, char const *out, size_t len, size_t replies,
                               unsigned int seconds, conn_reply_func *f, void *arg)
{
  struct group g = { .out = { { 0, 0 }, { (char *)out, len } },
                     .replies = replies,
                     .seconds = seconds,
                     .f = f,
                     .arg = arg };
  if (len && c->inpos < c->inlen && !c->ahead) return CONN_MALFORMED;
  c->ahead = 0;
  enum conn_status s = run(c, &g);
  /* All replies before all commands: the two sides are out of step. */
  return s == CONN_OK && unsent(&g) ? CONN_MALFORMED : s;
}

enum conn_status conn_end(struct conn *c, char const *text, size_t len, char const *ahead,
                          size_t *aheadlen, size_t replies, unsigned int block,
                          unsigned int seconds, conn_reply_func *f, void *arg)
{
  struct group g = { .out = { { (char *)text, len }, { (char *)ahead, *aheadlen } },
                     .replies = replies,
                     .block = block,
                     .seconds = seconds,
                     .f = f,
                     .arg = arg };
  if (c->inpos < c->inlen) return CONN_MALFORMED;
  enum conn_status s = run(c, &g);
  *aheadlen -= g.out[1].iov_len;
  c->ahead = *aheadlen > 0;
  return s;
}

/* The other side has spoken while the message was being written. */
static enum conn_status take_early(struct conn *c)
{
  int r = take_reply(c);
  if (r == -1) return CONN_MALFORMED;
  if (!r) return CONN_OK;
  return c->reply.code == 421 ? CONN_421 : CONN_EARLY;
}

/* Writing failed: a reply that was sent before that may still be read. */
static enum conn_status read_last(struct conn *c)
{
  while (fill(c) == 1) {
    enum conn_status s = take_early(c);
    if (s != CONN_OK) return s;
  }
  return CONN_DIED;
}

enum conn_status conn_write(struct conn *c, char const *out, size_t len, unsigned int seconds)
{
  tain deadline;
  smtpreply_start(&c->reply);
  if (c->inpos < c->inlen) return CONN_MALFORMED;
  while (len) {
    ssize_t w = fd_write(c->fd, out, len);
    if (w > 0) {
      out += w;
      len -= (size_t)w;
      continue;
    }
    if (w == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) return read_last(c);
    tain_addsec_g(&deadline, (int)seconds);
    int events = wait_for(c, IOPAUSE_READ | IOPAUSE_WRITE, &deadline);
    if (events <= 0) return events ? CONN_DIED : CONN_TIMEOUT;
    if (!(events & (IOPAUSE_READ | IOPAUSE_EXCEPT))) continue;
    int r = fill(c);
    if (r == -1) return CONN_DIED;
    enum conn_status s = r ? take_early(c) : CONN_OK;
    if (s != CONN_OK) return s;
  }
  return CONN_OK;
}
