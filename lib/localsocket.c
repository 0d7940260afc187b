/* localsocket.c - Unix sockets of the instance, in a directory of somebody else's; see localsocket.h */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "home.h"
#include "localsocket.h"

static int unix_socket(void)
{
  return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Does nobody listen there? 1, or 0 with errno: EADDRINUSE, or that cannot be told. */
static int is_free(struct sockaddr_un const *sa)
{
  int fd = unix_socket();
  if (fd == -1) return 0;
  int e = connect(fd, (struct sockaddr const *)sa, sizeof *sa) == 0 ? EADDRINUSE : errno;
  if (e == EAGAIN || e == EPROTOTYPE) e = EADDRINUSE; /* a full or another kind of listener */
  close(fd);
  errno = e;
  return e == ENOENT || e == ECONNREFUSED;
}

/* Remove a socket that was left behind; nothing else is removed, for it may be a
 * file that was named by mistake. 1 there is nothing (any more). */
static int make_way(char const *path)
{
  struct stat st;
  if (lstat(path, &st) == -1) return errno == ENOENT;
  if (!S_ISSOCK(st.st_mode)) return (errno = EEXIST, 0);
  return unlink(path) == 0;
}

/* As root: the socket is bound in a directory that may be another account's, who could
 * put anything in its place: so only what was looked at is given away. */
static int give_away(char const *path, uid_t uid, gid_t gid)
{
  struct stat st;
  if (geteuid() == uid) return 1;
  int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  int ok = fd != -1 && fstat(fd, &st) == 0;
  if (ok && (!S_ISSOCK(st.st_mode) || st.st_nlink != 1 || st.st_uid)) ok = 0, errno = EPERM;
  if (ok) ok = fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0;
  int e = errno;
  if (fd != -1) close(fd);
  errno = e;
  return ok;
}

static int bind_and_listen(int fd, struct sockaddr_un const *sa, unsigned int backlog, mode_t mode,
                           uid_t uid, gid_t gid)
{
  mode_t mask = umask(0777 & ~mode);
  int ok = is_free(sa) && make_way(sa->sun_path) &&
           bind(fd, (struct sockaddr const *)sa, sizeof *sa) == 0;
  umask(mask);
  return ok && give_away(sa->sun_path, uid, gid) && listen(fd, (int)backlog) == 0;
}

int localsocket_listen(char const *path, unsigned int backlog, mode_t mode, uid_t uid, gid_t gid)
{
  struct sockaddr_un sa = { .sun_family = AF_UNIX };
  size_t len = strlen(path);
  if (len >= sizeof sa.sun_path) return (errno = ENAMETOOLONG, -1);
  memcpy(sa.sun_path, path, len + 1);
  int fd = unix_socket();
  if (fd == -1 || bind_and_listen(fd, &sa, backlog, mode, uid, gid)) return fd;
  int e = errno;
  close(fd);
  errno = e;
  return -1;
}

int localsocket_reach(char const *name)
{
  struct sockaddr_un sa;
  if (!home_socket(&sa, name)) return -1;
  int fd = unix_socket();
  if (fd == -1 || connect(fd, (struct sockaddr const *)&sa, sizeof sa) == 0) return fd;
  int e = errno;
  close(fd);
  errno = e;
  return -1;
}
