/* cdbwrite.c - write a cdb file that appears as a whole; see cdbwrite.h */

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cdbwrite.h"
#include "fileat.h"

struct cdbwrite {
  struct cdb_make make;
  int dirfd;
  int fd;
  char path[PATH_MAX];
  char temporary[PATH_MAX];
  mode_t mode;
};

#define MODE 0644
#define PRIVATE 0600

/* Open the temporary file and lock it; nobody but its owner can, so that nobody can
 * keep it locked. Whoever had it before may have given it its final name, or have
 * removed it: then 0 with ESTALE. */
static int take(struct cdbwrite *w)
{
  struct stat ours, there;
  w->fd = openat(w->dirfd, w->temporary, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (w->fd == -1) return 0;
  while (flock(w->fd, LOCK_EX) == -1)
    if (errno != EINTR) return 0;
  if (fstat(w->fd, &ours) == -1) return 0;
  if (fstatat(w->dirfd, w->temporary, &there, AT_SYMLINK_NOFOLLOW) == -1 ||
      ours.st_dev != there.st_dev || ours.st_ino != there.st_ino)
    return (errno = ESTALE, 0);
  if (!S_ISREG(ours.st_mode) || ours.st_nlink != 1) return (errno = EEXIST, 0);
  return fchmod(w->fd, 0600) == 0 && ftruncate(w->fd, 0) == 0;
}

static void end(struct cdbwrite *w)
{
  int e = errno;
  if (w->fd != -1) close(w->fd);
  free(w);
  errno = e;
}

int cdbwrite_begin(struct cdbwrite **to, int dirfd, char const *path)
{
  struct cdbwrite *w = malloc(sizeof *w);
  if (!w) return 0;
  w->dirfd = dirfd;
  w->fd = -1;
  w->mode = MODE;
  if ((size_t)snprintf(w->temporary, sizeof w->temporary, "%s.tmp", path) >= sizeof w->temporary)
    return (end(w), errno = ENAMETOOLONG, 0);
  snprintf(w->path, sizeof w->path, "%s", path);
  while (!take(w)) {
    if (errno != ESTALE) return (end(w), 0);
    close(w->fd);
  }
  if (cdb_make_start(&w->make, w->fd) != 0) return (end(w), errno = ENOMEM, 0);
  *to = w;
  return 1;
}

void cdbwrite_private(struct cdbwrite *w)
{
  w->mode = PRIVATE;
}

int cdbwrite_add(struct cdbwrite *w, char const *key, size_t klen, char const *value, size_t vlen)
{
  if (klen > UINT_MAX || vlen > UINT_MAX) return (errno = EFBIG, 0);
  return cdb_make_add(&w->make, key, (unsigned int)klen, value, (unsigned int)vlen) == 0;
}

int cdbwrite_has(struct cdbwrite *w, char const *key, size_t len)
{
  if (len > UINT_MAX) return 0;
  int r = cdb_make_exists(&w->make, key, (unsigned int)len);
  return r < 0 ? -1 : r > 0;
}

/* Sync the directory that the file is in. */
static int sync_directory(struct cdbwrite const *w)
{
  char dir[PATH_MAX];
  char const *slash = strrchr(w->path, '/');
  int len = slash ? (int)(slash - w->path) : 0;
  snprintf(dir, sizeof dir, "%.*s", len, w->path);
  return fileat_sync_directory(w->dirfd, !slash ? "." : *dir ? dir : "/");
}

int cdbwrite_commit(struct cdbwrite *w)
{
  int finished = cdb_make_finish(&w->make) == 0;
  if (!finished || fchmod(w->fd, w->mode) == -1 || fsync(w->fd) == -1 ||
      renameat(w->dirfd, w->temporary, w->dirfd, w->path) == -1) {
    int e = errno;
    unlinkat(w->dirfd, w->temporary, 0);
    errno = e;
    return (end(w), 0);
  }
  int ok = sync_directory(w);
  end(w);
  return ok;
}

void cdbwrite_abandon(struct cdbwrite *w)
{
  cdb_make_finish(&w->make); /* it frees */
  unlinkat(w->dirfd, w->temporary, 0);
  end(w);
}
