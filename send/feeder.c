/* feeder.c - copy messages into pipes; see feeder.h */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/uint64.h>

#include "clock.h"
#include "feeder.h"

#define FEEDS_MAX    4096    /* pipes at a time; more wait in the socket */
#define FEED_REQUEST 16      /* bytes of a packet: offset:8 length:8 */
#define FEED_SLICE   1048576 /* bytes for one reader before the next one has his turn */
#define FEED_FDS     2       /* the file, the pipe */
#define PAUSE_MS     1000    /* when it cannot be waited */

struct feed {
  int file, pipe;
  uint64_t offset, left;
};
struct feeder {
  int sock; /* -1 after its end */
  size_t count;
  struct feed feeds[FEEDS_MAX];
  struct pollfd polls[FEEDS_MAX + 1];
};

int feeder_feed(int sock, int file, int pipe, uint64_t offset, uint64_t length)
{
  union {
    struct cmsghdr align;
    char s[CMSG_SPACE(FEED_FDS * sizeof(int))];
  } control = { .s = { 0 } };
  char request[FEED_REQUEST];
  int fds[FEED_FDS] = { file, pipe };
  struct iovec v = { request, sizeof request };
  struct msghdr m = {
    .msg_iov = &v, .msg_iovlen = 1, .msg_control = control.s, .msg_controllen = sizeof control.s
  };
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fds);
  memcpy(CMSG_DATA(c), fds, sizeof fds);
  uint64_pack_big(request, offset);
  uint64_pack_big(request + 8, length);
  for (;;) {
    if (sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) != -1) return 1;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
  }
}

static void close_feed(struct feeder *f, size_t i)
{
  close(f->feeds[i].file);
  close(f->feeds[i].pipe);
  f->feeds[i] = f->feeds[--f->count];
}

/* Copy what the pipe takes. 1 to go on, 0 when this feed is over. */
static int copy(struct feed *d)
{
  off_t at = (off_t)d->offset;
  size_t want = d->left < FEED_SLICE ? (size_t)d->left : FEED_SLICE;
  if (!want) return 0;
  ssize_t n = sendfile(d->pipe, d->file, &at, want);
  if (n == -1) return errno == EAGAIN || errno == EINTR;
  d->offset += (uint64_t)n;
  d->left -= (uint64_t)n;
  return n > 0 && d->left;
}

/* Take the descriptors of a request. 1 when there are just the two. */
static int take_fds(struct msghdr *m, int fds[FEED_FDS])
{
  struct cmsghdr *c = CMSG_FIRSTHDR(m);
  if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
      c->cmsg_len != CMSG_LEN(FEED_FDS * sizeof(int)))
    return 0;
  memcpy(fds, CMSG_DATA(c), FEED_FDS * sizeof(int));
  return 1;
}

/* Take one request. 1, 0 when none is there, -1 at the end. */
static int take(struct feeder *f)
{
  union {
    struct cmsghdr align;
    char s[CMSG_SPACE(FEED_FDS * sizeof(int))];
  } control;
  char request[FEED_REQUEST];
  int fds[FEED_FDS];
  struct iovec v = { request, sizeof request };
  struct msghdr m = {
    .msg_iov = &v, .msg_iovlen = 1, .msg_control = control.s, .msg_controllen = sizeof control.s
  };
  ssize_t n = recvmsg(f->sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n == -1) return errno == EAGAIN || errno == EINTR ? 0 : -1;
  if (!n) return -1;
  if (!take_fds(&m, fds)) return 1;
  struct feed *d = f->feeds + f->count++;
  d->file = fds[0];
  d->pipe = fds[1];
  uint64_unpack_big(request, &d->offset);
  uint64_unpack_big(request + 8, &d->left);
  if (fcntl(d->pipe, F_SETFL, O_NONBLOCK) == -1 || !copy(d)) close_feed(f, f->count - 1);
  return 1;
}

static void serve(struct feeder *f)
{
  size_t n = f->count;
  for (size_t i = 0; i < n; i++) f->polls[i] = (struct pollfd){ f->feeds[i].pipe, POLLOUT, 0 };
  f->polls[n] = (struct pollfd){ n < FEEDS_MAX ? f->sock : -1, POLLIN, 0 };
  if (poll(f->polls, n + 1, -1) == -1) {
    if (errno != EINTR) clock_nap(PAUSE_MS);
    return;
  }
  /* Backwards: closing one moves the last one into its place. */
  for (size_t i = n; i-- > 0;)
    if (f->polls[i].revents && !copy(f->feeds + i)) close_feed(f, i);
  int r = f->polls[n].revents != 0;
  while (r == 1 && f->count < FEEDS_MAX) r = take(f);
  if (r == -1) {
    close(f->sock);
    f->sock = -1;
  }
}

void feeder_run(int sock)
{
  struct feeder *f = malloc(sizeof *f);
  if (!f) _exit(111);
  f->sock = sock;
  f->count = 0;
  while (f->sock != -1 || f->count) serve(f);
  _exit(0);
}
