/* recycle.c - put a message into a finished file; see recycle.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <skalibs/djbunix.h>

#include "fileat.h"
#include "pool.h"
#include "recycle.h"

#define TRIES    8     /* files that are looked at for one message */
#define ZERO_MAX 65536 /* a longer tail is cut off, not zeroed */

/* Does nobody else have the file open? It is ours, and locked. */
static int is_alone(int fd, struct queue const *q)
{
  if (fcntl(fd, F_SETLEASE, F_WRLCK) == -1) {
    if (errno != EAGAIN && errno != EINTR) {
      queue_warning("leases do not work here: no file is used again");
      pool_disable(q->pool);
    }
    return 0;
  }
  return fcntl(fd, F_SETLEASE, F_UNLCK) == 0;
}

/* Is the open, locked file a finished one, and the one of this name? */
static int is_finished(struct recycled *r, struct queue const *q, char const *name)
{
  struct stat st, named;
  char header[QFILE_HEADER];
  struct qfile old;
  if (fstat(r->fd, &st) == -1 || fstatat(q->dir, name, &named, AT_SYMLINK_NOFOLLOW) == -1) return 0;
  if (st.st_ino != named.st_ino || st.st_dev != named.st_dev) return 0;
  if (!S_ISREG(st.st_mode) || st.st_uid != q->owner || st.st_nlink != 1) return 0;
  if (pread(r->fd, header, sizeof header, 0) != (ssize_t)sizeof header) return 0;
  if (!qfile_unpack(&old, header) || old.state != QFILE_DONE) return 0;
  r->end = QFILE_HEADER + old.msglen + old.envlen;
  if (r->end > (uint64_t)st.st_size) r->end = (uint64_t)st.st_size;
  return 1;
}

static int take(struct recycled *r, struct queue const *q)
{
  char name[QFILE_NAME_MAX];
  qfile_free_name(name, r->name);
  r->fd = openat(q->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (r->fd == -1) return 0;
  int locked = flock(r->fd, LOCK_EX | LOCK_NB) == 0;
  int finished = locked && is_finished(r, q, name);
  if (finished && is_alone(r->fd, q)) return 1;
  fd_close(r->fd);
  if (finished || !locked) pool_give_back(q->pool, r->name); /* somebody looks at it just now */
  return 0;
}

int recycle_take(struct recycled *r, struct queue const *q)
{
  for (int i = 0; i < TRIES && pool_take(q->pool, &r->name); i++)
    if (take(r, q)) return 1;
  return 0;
}

/* Write the buffer and <zeros> bytes behind it with as few calls as can be. */
static int write_body(int fd, struct message const *m, size_t zeros)
{
  static char zero[ZERO_MAX]; /* never written to; const, it would be 64 KiB of the program's file */
  struct iovec v[2] = { { .iov_base = (char *)m->buf, .iov_len = m->len },
                        { .iov_base = zero, .iov_len = zeros } };
  ssize_t n = pwritev(fd, v, zeros ? 2 : 1, QFILE_HEADER);
  size_t done = n == -1 ? 0 : (size_t)n;
  if (n == -1 && errno != EINTR) return 0;
  if (done < m->len && !fileat_write(fd, m->buf + done, m->len - done, QFILE_HEADER + done))
    return 0;
  if (done < m->len) done = m->len;
  return done == m->len + zeros ||
         fileat_write(fd, zero, m->len + zeros - done, QFILE_HEADER + done);
}

int recycle_write(struct recycled *r, struct message const *m)
{
  char header[QFILE_HEADER];
  uint64_t end = QFILE_HEADER + m->len;
  uint64_t tail = r->end > end ? r->end - end : 0;
  /* What a killed writer leaves is nobody's: the old header would say nothing of it. */
  if (!qfile_mark(r->fd, QFILE_BUSY)) return 0;
  if (tail > ZERO_MAX) {
    if (ftruncate(r->fd, (off_t)end) == -1) return 0;
    tail = 0;
  }
  if (!write_body(r->fd, m, (size_t)tail)) return 0;
  qfile_pack(header, &m->file);
  if (!fileat_write(r->fd, header, sizeof header, 0) || fdatasync(r->fd) == -1) return 0;
  fd_close(r->fd);
  return 1;
}

void recycle_drop(struct recycled *r, struct queue const *q)
{
  char name[QFILE_NAME_MAX];
  qfile_free_name(name, r->name);
  unlinkat(q->dir, name, 0);
  fd_close(r->fd);
}
