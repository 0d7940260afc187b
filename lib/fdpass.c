/* fdpass.c - SCM_RIGHTS; see fdpass.h */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fdpass.h"

#define ROOM 4 /* descriptors of a packet that there is room for, so that they can be closed */
_Static_assert(ROOM > FDPASS_MAX, "one too many would not be noticed");

int fdpass_send(int sock, struct iovec *v, size_t n, int const *fd, size_t nfd)
{
  union {
    struct cmsghdr align;
    char s[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
  } control;
  struct msghdr m = { .msg_iov = v, .msg_iovlen = n };
  size_t count = 0;
  while (count < nfd && fd[count] != -1) count++;
  if (count > FDPASS_MAX) return (errno = EINVAL, -1);
  if (count) {
    memset(&control, 0, sizeof control);
    m.msg_control = control.s;
    m.msg_controllen = CMSG_SPACE(count * sizeof *fd);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof *fd);
    memcpy(CMSG_DATA(c), fd, count * sizeof *fd);
  }
  for (;;) {
    if (sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) != -1) return 1;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (errno == ECONNRESET || errno == ENOTCONN) errno = EPIPE;
    return -1;
  }
}

/* Keep as many descriptors that came with <m> as there is room for, close others. Their number. */
static size_t take(struct msghdr *m, int *fd, size_t nfd)
{
  size_t n = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int x;
      memcpy(&x, CMSG_DATA(c) + i * sizeof x, sizeof x);
      if (n < nfd) fd[n] = x;
      else close(x);
      n++;
    }
  }
  return n;
}

ssize_t fdpass_recv(int sock, char *buf, size_t size, int flags, int *fd, size_t nfd)
{
  union {
    struct cmsghdr align;
    char s[CMSG_SPACE(ROOM * sizeof(int))];
  } control;
  struct iovec v = { buf, size };
  struct msghdr m = {
    .msg_iov = &v, .msg_iovlen = 1, .msg_control = control.s, .msg_controllen = sizeof control.s
  };
  for (size_t i = 0; i < nfd; i++) fd[i] = -1;
  ssize_t len = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
  if (len == -1) return -1;
  size_t n = take(&m, fd, nfd);
  if (n <= nfd && (len || !n) && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) return len;
  for (size_t i = 0; i < nfd && fd[i] != -1; i++) {
    close(fd[i]);
    fd[i] = -1;
  }
  return (errno = EPROTO, -1);
}
