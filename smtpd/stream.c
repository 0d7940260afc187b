/* stream.c - read and write the client's connection within limits; see stream.h */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"
#include "stream.h"

#define WAIT_MAX   30000 /* ms of one wait: how late the end of a session may be noticed */
#define LINGER_MS  1000
#define LINGER_MAX 262144 /* bytes thrown away while lingering */

static int64_t min(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

/* Make waiting part of recv() and send(). 1, or 0 when <fd> is no socket. */
static int prepare_socket(int fd, int option, int64_t ms)
{
  int on = 1;
  struct timeval t = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
  if (setsockopt(fd, SOL_SOCKET, option, &t, sizeof t) == -1) return 0;
  if (option == SO_SNDTIMEO) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int flags = fcntl(fd, F_GETFL);
  if (flags != -1 && flags & O_NONBLOCK) fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
  return 1;
}

void stream_renew(struct stream *io)
{
  io->broken = STREAM_OK;
  io->pos = io->len = io->outlen = 0;
  io->is_socket = prepare_socket(io->in, SO_RCVTIMEO, io->wait) &&
                  prepare_socket(io->out, SO_SNDTIMEO, io->wait);
}

void stream_start(struct stream *io, int in, int out, unsigned long idle, unsigned long session,
                  volatile sig_atomic_t const *stop)
{
  io->in = in;
  io->out = out;
  io->idle = (int64_t)(idle ? idle : 1) * 1000;
  io->began = (int64_t)clock_ms();
  io->expires = io->began + (int64_t)(session ? session : 1) * 1000;
  io->wait = min(min(io->idle, io->expires - io->began), WAIT_MAX);
  io->may_stop = 0;
  io->stop = stop;
  stream_renew(io);
}

unsigned long stream_age(struct stream const *io)
{
  return (unsigned long)(((int64_t)clock_ms() - io->began) / 1000);
}

/* One read or write that waits no longer than io->wait; then -1 with EAGAIN. */
static ssize_t read_some(struct stream *io, char *s, size_t len)
{
  if (io->is_socket) return recv(io->in, s, len, 0);
  struct pollfd p = { .fd = io->in, .events = POLLIN };
  int r = poll(&p, 1, (int)io->wait);
  if (r <= 0) return r ? -1 : (errno = EAGAIN, -1);
  return read(io->in, s, len);
}

static ssize_t write_some(struct stream *io, char const *s, size_t len)
{
  if (io->is_socket) return send(io->out, s, len, MSG_NOSIGNAL);
  struct pollfd p = { .fd = io->out, .events = POLLOUT };
  int r = poll(&p, 1, (int)io->wait);
  if (r <= 0) return r ? -1 : (errno = EAGAIN, -1);
  /* A pipe that is ready takes this much without waiting. */
  return write(io->out, s, len < PIPE_BUF ? len : PIPE_BUF);
}

/* What to do about an errno after <began>: STREAM_OK means try again. */
static enum stream_result judge(struct stream const *io, int64_t began)
{
  if (errno == EINTR) return STREAM_OK;
  if (errno != EAGAIN && errno != EWOULDBLOCK) return STREAM_ERROR;
  int64_t t = (int64_t)clock_ms();
  if (t >= io->expires) return STREAM_EXPIRED;
  return t - began >= io->idle ? STREAM_IDLE : STREAM_OK;
}

static enum stream_result write_all(struct stream *io, char const *s, size_t len)
{
  size_t done = 0;
  int64_t began = (int64_t)clock_ms();
  while (done < len) {
    ssize_t n = write_some(io, s + done, len - done);
    if (n >= 0) {
      done += (size_t)n;
      continue;
    }
    enum stream_result r = judge(io, began);
    if (r != STREAM_OK) return r;
  }
  return STREAM_OK;
}

enum stream_result stream_flush(struct stream *io)
{
  if (io->broken == STREAM_OK && io->outlen) io->broken = write_all(io, io->outbuf, io->outlen);
  io->outlen = 0;
  return io->broken;
}

void stream_put(struct stream *io, char const *s, size_t len)
{
  if (len >= sizeof io->outbuf && stream_flush(io) == STREAM_OK) {
    io->broken = write_all(io, s, len);
    return;
  }
  while (len && io->broken == STREAM_OK) {
    size_t room = sizeof io->outbuf - io->outlen;
    size_t n = len < room ? len : room;
    memcpy(io->outbuf + io->outlen, s, n);
    io->outlen += n;
    s += n;
    len -= n;
    if (io->outlen == sizeof io->outbuf) stream_flush(io);
  }
}

int stream_is_one_socket(int in, int out)
{
  struct stat a, b;
  return fstat(in, &a) == 0 && fstat(out, &b) == 0 && S_ISSOCK(a.st_mode) && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

static void make_room(struct stream *io)
{
  if (io->pos == io->len) io->pos = io->len = 0;
  if (io->len < sizeof io->inbuf || !io->pos) return;
  memmove(io->inbuf, io->inbuf + io->pos, io->len - io->pos);
  io->len -= io->pos;
  io->pos = 0;
}

enum stream_result stream_fill(struct stream *io)
{
  enum stream_result r = stream_flush(io);
  if (r != STREAM_OK) return r;
  make_room(io);
  int64_t began = (int64_t)clock_ms();
  for (;;) {
    if (io->may_stop && io->stop && *io->stop) return STREAM_STOPPED;
    if ((int64_t)clock_ms() >= io->expires) return STREAM_EXPIRED;
    ssize_t n = read_some(io, io->inbuf + io->len, sizeof io->inbuf - io->len);
    if (!n) return STREAM_EOF;
    if (n > 0) {
      io->len += (size_t)n;
      return STREAM_OK;
    }
    r = judge(io, began);
    if (r != STREAM_OK) return r;
  }
}

int stream_is_pending(struct stream *io)
{
  char c;
  if (io->pos < io->len) return 1;
  return io->is_socket && recv(io->in, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

void stream_linger(struct stream *io)
{
  int64_t end = (int64_t)clock_ms() + LINGER_MS;
  size_t taken = 0;
  if (!io->is_socket || io->broken != STREAM_OK || shutdown(io->out, SHUT_WR) == -1) return;
  while (taken < LINGER_MAX) {
    struct pollfd p = { .fd = io->in, .events = POLLIN };
    int64_t left = end - (int64_t)clock_ms();
    if (left <= 0 || poll(&p, 1, (int)left) <= 0) return;
    ssize_t n = recv(io->in, io->inbuf, sizeof io->inbuf, MSG_DONTWAIT);
    if (n <= 0) return;
    taken += (size_t)n;
  }
}
