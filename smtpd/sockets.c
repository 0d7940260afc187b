/* sockets.c - bind and listen; see sockets.h */

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/strerr.h>

#include "home.h"
#include "localsocket.h"
#include "logline.h"
#include "mode.h"
#include "sockets.h"

static int bind_and_listen(int fd, struct addrinfo const *ai, unsigned int backlog)
{
  int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1) return 0;
  if (ai->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == -1)
    return 0;
  return bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, (int)backlog) == 0;
}

static void announce(char const *address, char const *port)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, mode.program);
  logline_text(&l, ": listening");
  logline_key(&l, "address", address);
  logline_key(&l, "port", port);
  logline_write(&l);
}

/* 1 and one socket more; 0 after a line on stderr; -1 when this machine has no such addresses. */
static int open_one(struct sockets *s, char const *address, char const *port, unsigned int backlog)
{
  struct addrinfo *ai;
  struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                            .ai_socktype = SOCK_STREAM };
  if (getaddrinfo(address, port, &hints, &ai)) {
    strerr_warnw("cannot listen on ", address, " port ", port,
                 ": not an address and a port number");
    return 0;
  }
  int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int ok = fd != -1 && bind_and_listen(fd, ai, backlog);
  int e = errno;
  freeaddrinfo(ai);
  if (ok) {
    s->fd[s->count++] = fd;
    announce(address, port);
    return 1;
  }
  if (fd != -1) close(fd);
  errno = e;
  if (e == EAFNOSUPPORT || e == EADDRNOTAVAIL) return -1;
  strerr_warnwusys("listen on ", address, " port ", port);
  return 0;
}

static int open_all(struct sockets *s, char const *port, unsigned int backlog)
{
  if (!open_one(s, "::", port, backlog)) return 0;
  int r = open_one(s, "0.0.0.0", port, backlog);
  if (r == -1 && !s->count) strerr_warnwusys("listen on any address");
  return r == 1 || (r == -1 && s->count);
}

int sockets_open(struct sockets *s, char const *const *addresses, size_t count, char const *port,
                 unsigned int backlog)
{
  s->count = 0;
  if (!count) return open_all(s, port, backlog);
  for (size_t i = 0; i < count; i++) {
    int r = open_one(s, addresses[i], port, backlog);
    if (r == -1) strerr_warnwusys("listen on ", addresses[i], " port ", port);
    if (r != 1) return 0;
  }
  return 1;
}

/* In the home. 1, or 0 after a line on stderr. */
static int open_handover(struct sockets *s, char const *path, unsigned int backlog, uid_t uid,
                         gid_t gid)
{
  s->handover = localsocket_listen(path, backlog, 0600, uid, gid);
  if (s->handover == -1) strerr_warnwusys("listen on ", path);
  return s->handover != -1;
}

int sockets_open_handover(struct sockets *s, char const *path, unsigned int backlog, uid_t uid,
                          gid_t gid)
{
  int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC); /* other paths are relative to this */
  if (here == -1 || !home_enter()) {
    strerr_warnwusys("enter ", home_dir());
    return 0;
  }
  int ok = open_handover(s, path, backlog, uid, gid);
  if (fchdir(here) == -1) strerr_warnwusys("come back from ", home_dir()), ok = 0;
  close(here);
  if (!ok) return 0;
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, mode.program);
  logline_text(&l, ": listening");
  logline_key(&l, "socket", path);
  logline_write(&l);
  return 1;
}

void sockets_close(struct sockets *s)
{
  if (s->handover != -1) close(s->handover);
  s->handover = -1;
  for (size_t i = 0; i < s->count; i++) close(s->fd[i]);
  s->count = 0;
}
