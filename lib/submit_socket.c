/* submit_socket.c - a message on its way to queued; see submit.h, queuewire.h
 *
 * What is sent is gathered in s->buf; a small message leaves in one piece,
 * with its opening and its commit.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/djbunix.h>
#include <skalibs/uint32.h>
#include <skalibs/uint64.h>

#include "clock.h"
#include "home.h"
#include "qfile.h"
#include "submit_parts.h"

#define SEND_SECONDS  60  /* for queued to take what is sent, and for a connection */
#define REPLY_SECONDS 300 /* for queued to answer: the disk may be slow */
#define RETRY_MS      100 /* between two attempts to find queued */
#define FRAME_LEAST   64  /* bytes of buf that make a new frame worth beginning */

static void hang_up(struct submit *s)
{
  if (s->fd != -1) fd_close(s->fd);
  s->fd = -1;
  s->owed = 0;
  s->kept = 0;
  s->stored = 0;
}

static int connect_once(void)
{
  struct sockaddr_un sa;
  struct timeval const send = { .tv_sec = SEND_SECONDS }, reply = { .tv_sec = REPLY_SECONDS };
  if (!home_socket(&sa, QUEUEWIRE_SOCKET)) return -1;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd == -1) return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send, sizeof send) == 0 &&
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &reply, sizeof reply) == 0 &&
      connect(fd, (struct sockaddr const *)&sa, sizeof sa) == 0)
    return fd;
  int e = errno;
  fd_close(fd);
  errno = e;
  return -1;
}

/* Connect, waiting for queued when the flags say so. */
static int connect_queue(struct submit *s, unsigned int flags)
{
  struct timespec const pause = { .tv_nsec = RETRY_MS * 1000000L };
  uint64_t end = clock_ms() + SUBMIT_WAIT_SECONDS * 1000;
  for (;;) {
    s->fd = connect_once();
    if (s->fd != -1) break;
    if (home_fd() == -1) return (submit_fail(s, QQ_HOME, "the home cannot be opened"), 0);
    if (!(flags & SUBMIT_WAIT) || clock_ms() >= end) {
      submit_fail(s, QQ_TEMPORARY, "the queue does not answer; is pipit-queued running?");
      return 0;
    }
    nanosleep(&pause, 0);
  }
  s->owed = 0;
  s->kept = 0;
  return 1;
}

/* One reply out of in[0..len). The bytes used, 0 when it is not whole, -1 when it is none. */
static int parse_reply(struct submit *s, char const *in, size_t len)
{
  uint32_t n;
  if (len < QUEUEWIRE_HEAD) return 0;
  uint32_unpack_big(in + 1, &n);
  if (!n || n > 1 + QUEUEWIRE_TEXT_MAX) return -1;
  if (len < QUEUEWIRE_HEAD + n) return 0;
  s->code = (unsigned char)in[QUEUEWIRE_HEAD];
  if ((*in == 'K') != !s->code) return -1;
  n--;
  memcpy(s->why, in + QUEUEWIRE_HEAD + 1, n);
  s->why[n] = 0;
  return (int)(QUEUEWIRE_HEAD + 1 + n);
}

/* The connection is of no use any more: say why, in queued's words when it left some. */
static int lost(struct submit *s)
{
  char in[QUEUEWIRE_REPLY_MAX];
  int slow = errno == EAGAIN;
  ssize_t n = slow ? -1 : recv(s->fd, in, sizeof in, MSG_DONTWAIT);
  hang_up(s);
  if (n > 0 && parse_reply(s, in, (size_t)n) > 0 && s->code) {
    s->broken = s->code;
    return 0;
  }
  if (slow) submit_fail(s, QQ_SLOW, "the queue does not answer in time");
  else submit_fail(s, QQ_LOST, "the connection to the queue was lost");
  return 0;
}

/* Read the replies that are owed; the last one counts: s->code, s->why. 1, or 0 and s->broken. */
static int await(struct submit *s)
{
  char in[QUEUEWIRE_REPLY_MAX * 4];
  size_t len = 0;
  while (s->owed) {
    int used = parse_reply(s, in, len);
    if (used > 0) {
      len -= (size_t)used;
      memmove(in, in + used, len);
      s->owed--;
      continue;
    }
    ssize_t n = used ? 0 : recv(s->fd, in + len, sizeof in - len, 0);
    if (n == -1 && errno == EINTR) continue;
    if (!n) errno = EPIPE;
    if (n <= 0) return lost(s);
    len += (size_t)n;
  }
  return 1;
}

static void put_head(char *out, char type, size_t len)
{
  out[0] = type;
  uint32_pack_big(out + 1, (uint32_t)len);
}

static void end_frame(struct submit *s)
{
  if (!s->frame) return;
  if (s->pending == s->frame) s->pending -= QUEUEWIRE_HEAD;
  else uint32_pack_big(s->buf + s->frame - QUEUEWIRE_HEAD + 1, (uint32_t)(s->pending - s->frame));
  s->frame = 0;
}

/* Replace a connection that queued closed while it was idle. */
static int reconnect(struct submit *s)
{
  hang_up(s);
  if (!connect_queue(s, s->flags)) return 0;
  s->owed = s->mine;
  return 1;
}

/* Step over what was sent of the pieces. */
static void advance(struct iovec *v, int n, size_t done)
{
  for (int i = 0; i < n && done; i++) {
    size_t step = done < v[i].iov_len ? done : v[i].iov_len;
    v[i].iov_base = (char *)v[i].iov_base + step;
    v[i].iov_len -= step;
    done -= step;
  }
}

/* Send the pieces. A connection that queued closed while it was idle is
 * replaced, as long as nothing of this message has left. 1, or 0 and s->broken. */
static int send_pieces(struct submit *s, struct iovec *v, int n)
{
  size_t left = 0;
  for (int i = 0; i < n; i++) left += v[i].iov_len;
  while (left) {
    struct msghdr const m = { .msg_iov = v, .msg_iovlen = (size_t)n };
    ssize_t r = sendmsg(s->fd, &m, MSG_NOSIGNAL);
    if (r == -1 && errno == EINTR) continue;
    if (r == -1 && errno != EAGAIN && s->kept && !s->sent) {
      if (!reconnect(s)) return 0;
      continue;
    }
    if (r == -1) return lost(s);
    s->sent = 1;
    left -= (size_t)r;
    advance(v, n, (size_t)r);
  }
  return 1;
}

/* Send buf, and behind it a frame with the given bytes unless there are none. */
static int flush_with(struct submit *s, char type, char const *bytes, size_t len)
{
  char head[QUEUEWIRE_HEAD];
  end_frame(s);
  put_head(head, type, len);
  struct iovec v[3] = { { .iov_base = s->buf, .iov_len = s->pending },
                        { .iov_base = head, .iov_len = sizeof head },
                        { .iov_base = (char *)bytes, .iov_len = len } };
  s->pending = 0;
  return send_pieces(s, v, len ? 3 : 1);
}

static int flush(struct submit *s)
{
  return flush_with(s, 0, 0, 0);
}

static void add_bytes(struct submit *s, char type, char const *bytes, size_t len)
{
  while (len && !s->broken) {
    if (!s->frame) {
      if (sizeof s->buf - s->pending < FRAME_LEAST && !flush(s)) return;
      put_head(s->buf + s->pending, type, 0);
      s->frame = s->pending += QUEUEWIRE_HEAD;
    }
    if (len <= sizeof s->buf - s->pending) {
      memcpy(s->buf + s->pending, bytes, len);
      s->pending += len;
      return;
    }
    size_t n = len > QUEUEWIRE_FRAME_MAX ? QUEUEWIRE_FRAME_MAX : len;
    if (!flush_with(s, type, bytes, n)) return;
    bytes += n;
    len -= n;
  }
}

int submit_socket_open(struct submit *s, unsigned int flags, uint64_t size, char const *trace)
{
  size_t tracelen = trace ? strnlen(trace, QUEUEWIRE_TRACE_MAX + 1) : 0;
  if (tracelen > QUEUEWIRE_TRACE_MAX) return (submit_fail(s, QQ_BUG, "the trace is too long"), 0);
  if (s->fd == -1 && !connect_queue(s, flags)) return 0;
  s->flags = flags;
  put_head(s->buf, QUEUEWIRE_OPEN, QUEUEWIRE_OPEN_HEAD + tracelen);
  uint64_pack_big(s->buf + QUEUEWIRE_HEAD, size);
  if (tracelen) memcpy(s->buf + QUEUEWIRE_HEAD + QUEUEWIRE_OPEN_HEAD, trace, tracelen);
  s->pending = QUEUEWIRE_HEAD + QUEUEWIRE_OPEN_HEAD + tracelen;
  s->owed++;
  s->mine = 1;
  return 1;
}

/* Was there room a moment ago, and is little asked for? */
static int is_room_likely(struct submit const *s)
{
  return s->stored && s->size <= SUBMIT_ROOM_SIZE && clock_ms() - s->stored < SUBMIT_ROOM_MS;
}

int submit_socket_room(struct submit *s)
{
  if (!s->sent && is_room_likely(s)) return 1;
  int again = s->kept && !s->sent;
  size_t all = s->pending;
  int ok = flush(s) && await(s);
  if (!ok && again && s->broken == QQ_LOST) { /* nothing but what is in buf was lost */
    s->broken = 0;
    s->pending = all;
    ok = reconnect(s) && flush(s) && await(s);
  }
  if (!ok) return 0;
  s->mine = 0;
  s->broken = s->code;
  if (s->code) s->stored = 0;
  return !s->code;
}

void submit_socket_message(struct submit *s, char const *bytes, size_t len)
{
  add_bytes(s, QUEUEWIRE_DATA, bytes, len);
}

void submit_socket_commit(struct submit *s)
{
  end_frame(s);
  add_bytes(s, QUEUEWIRE_ENVELOPE, s->envelope.s, s->envelope.len);
  end_frame(s);
  if (s->broken || (sizeof s->buf - s->pending < QUEUEWIRE_HEAD && !flush(s))) return;
  put_head(s->buf + s->pending, QUEUEWIRE_COMMIT, 0);
  s->pending += QUEUEWIRE_HEAD;
  s->owed++;
  s->mine++;
  if (!flush(s) || !await(s)) return;
  s->kept = 1;
  s->stored = 0;
  if (s->code) return;
  if (!qfile_scan_id(s->why, &s->id)) submit_fail(s, QQ_BUG, "the queue answers nonsense");
  else s->why[0] = 0;
  s->stored = clock_ms();
}

void submit_socket_abort(struct submit *s)
{
  if (s->fd == -1) return;
  if (s->sent) {
    put_head(s->buf, QUEUEWIRE_ABORT, 0);
    s->pending = QUEUEWIRE_HEAD;
    s->frame = 0;
    if (!flush(s)) return;
  } else {
    s->owed -= s->mine; /* it never heard of this message */
    s->pending = 0;
  }
  s->mine = 0;
  s->kept = 1;
}
