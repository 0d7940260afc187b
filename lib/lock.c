/* lock.c - wait for locks; see lock.h */

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>

#include "clock.h"
#include "lock.h"

#define NAP_MS 20

int lock_wait(int (*attempt)(void *), void *data)
{
  uint64_t deadline = clock_ms() + LOCK_SECONDS * 1000;
  for (;;) {
    if (attempt(data)) return 1;
    if (errno != EWOULDBLOCK) return 0;
    if (clock_ms() >= deadline) return (errno = EWOULDBLOCK, 0);
    clock_nap(NAP_MS);
  }
}

static int judge(int r)
{
  if (r == 0) return 1;
  if (errno == EACCES || errno == EAGAIN || errno == EINTR) errno = EWOULDBLOCK;
  return 0;
}

int lock_flock(int fd)
{
  return judge(flock(fd, LOCK_EX | LOCK_NB));
}

int lock_fcntl(int fd)
{
  struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return judge(fcntl(fd, F_SETLK, &l));
}
