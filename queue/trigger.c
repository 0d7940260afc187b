/* trigger.c - tell send about a new message; see trigger.h */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/djbunix.h>
#include <skalibs/uint64.h>

#include "trigger.h"

static int open_trigger(struct queue const *q)
{
  return openat(q->dir, "lock/trigger", O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
}

static void overflow(struct queue const *q)
{
  int fd = openat(q->dir, "lock/overflow",
                  O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0660);
  if (fd == -1) {
    queue_warning("cannot touch queue/lock/overflow");
    return;
  }
  futimens(fd, 0);
  fd_close(fd);
}

void trigger_pull(struct queue const *q, uint64_t id, uint64_t name)
{
  static int fd = -1; /* kept for the messages of this connection */
  char packed[16];
  uint64_pack_big(packed, id);
  uint64_pack_big(packed + 8, name);
  for (int tries = 0; tries < 2; tries++) {
    if (fd == -1 && (fd = open_trigger(q)) == -1) break;
    ssize_t n = write(fd, packed, sizeof packed);
    if (n == (ssize_t)sizeof packed) return;
    if (n == -1 && errno == EAGAIN) {
      overflow(q);
      return;
    }
    fd_close(fd); /* its reader is gone: perhaps there is another one */
    fd = -1;
  }
  if (fd == -1 && errno != ENXIO && errno != EPIPE)
    queue_warning("cannot write to queue/lock/trigger");
}
