/* newfile.c - make a file that has no name until it is whole; see newfile.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include <skalibs/djbunix.h>

#include "newfile.h"

#define MODE 0660

static int open_nameless(struct queue const *q, char const *dir)
{
  return openat(q->dir, dir, O_TMPFILE | O_RDWR | O_CLOEXEC, MODE);
}

static int is_unsupported(int e)
{
  return e == EOPNOTSUPP || e == EISDIR || e == EINVAL || e == ENOENT;
}

static int open_begun(struct newfile *f, struct queue const *q, char const *dir, uint64_t id)
{
  snprintf(f->begun, sizeof f->begun, "%s/" NEWFILE_BEGUN "%llu", dir, (unsigned long long)id);
  return openat(q->dir, f->begun, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, MODE);
}

int newfile_open(struct newfile *f, struct queue const *q, char const *dir, uint64_t id)
{
  f->begun[0] = 0;
  f->fd = open_nameless(q, dir);
  if (f->fd == -1 && is_unsupported(errno)) f->fd = open_begun(f, q, dir, id);
  if (f->fd == -1) return (f->begun[0] = 0, 0);
  if (flock(f->fd, LOCK_EX | LOCK_NB) == 0) return 1;
  int e = errno;
  newfile_close(f, q);
  errno = e;
  return 0;
}

int newfile_link(struct newfile *f, struct queue const *q, char const *name)
{
  char path[32];
  if (f->begun[0]) {
    if (linkat(q->dir, f->begun, q->dir, name, 0) == -1) return 0;
    unlinkat(q->dir, f->begun, 0);
    f->begun[0] = 0;
    return 1;
  }
  snprintf(path, sizeof path, "/proc/self/fd/%d", f->fd);
  if (linkat(AT_FDCWD, path, q->dir, name, AT_SYMLINK_FOLLOW) == 0) return 1;
  if (errno == EEXIST) return 0;
  return linkat(f->fd, "", q->dir, name, AT_EMPTY_PATH) == 0; /* where /proc is not mounted */
}

void newfile_close(struct newfile *f, struct queue const *q)
{
  if (f->begun[0]) unlinkat(q->dir, f->begun, 0);
  if (f->fd != -1) fd_close(f->fd);
  f->begun[0] = 0;
  f->fd = -1;
}

int newfile_sync_dir(struct queue const *q, char const *dir)
{
  int fd = openat(q->dir, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd == -1) return 0;
  int r = fsync(fd);
  int e = errno;
  fd_close(fd);
  errno = e;
  return r == 0;
}
