/* ids.c - give out message ids; see ids.h */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/djbunix.h>

#include "clock.h"
#include "ids.h"
#include "qfile.h"
#include "newfile.h"

static void raise_above(struct queue const *q, uint64_t id)
{
  uint64_t last = atomic_load(q->lastid);
  while (id <= IDS_MAX && id > last && !atomic_compare_exchange_weak(q->lastid, &last, id)) {
  }
}

uint64_t ids_next(struct queue const *q)
{
  uint64_t now = clock_wall_us();
  uint64_t last = atomic_load(q->lastid);
  uint64_t id;
  do id = now > last ? now : last + 1;
  while (!atomic_compare_exchange_weak(q->lastid, &last, id));
  return id;
}

/* The id in the header of a file, when it has one. */
static void see_header(struct queue const *q, int dir, char const *name)
{
  struct qfile f;
  int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd == -1) return;
  if (qfile_read(fd, &f) == 1) raise_above(q, f.id);
  fd_close(fd);
}

/* Remove a file that was begun under a name of no id, unless somebody writes it still. */
static void remove_begun(int dir, char const *name)
{
  int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd == -1) return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlinkat(dir, name, 0);
  fd_close(fd);
}

static int scan(struct queue const *q, char const *path, int headers)
{
  int fd = openat(q->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd == -1) return 0;
  DIR *d = fdopendir(fd);
  if (!d) return (fd_close(fd), 0);
  for (;;) {
    uint64_t id;
    errno = 0;
    struct dirent *e = readdir(d);
    if (!e) break;
    if (qfile_scan_id(e->d_name, &id)) {
      raise_above(q, id);
      if (headers) see_header(q, fd, e->d_name);
    } else if (!strncmp(e->d_name, NEWFILE_BEGUN, sizeof NEWFILE_BEGUN - 1)) {
      remove_begun(fd, e->d_name);
    }
  }
  int error = errno;
  closedir(d);
  errno = error;
  return !error;
}

static int map_last(struct queue *q)
{
  int fd = openat(q->dir, "lock/lastid", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0660);
  if (fd == -1) return 0;
  void *map = MAP_FAILED;
  if (ftruncate(fd, sizeof *q->lastid) == 0)
    map = mmap(0, sizeof *q->lastid, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  int error = errno;
  fd_close(fd);
  if (map == MAP_FAILED) return (errno = error, 0);
  q->lastid = map;
  if (atomic_load(q->lastid) > IDS_MAX) atomic_store(q->lastid, 0);
  return 1;
}

static int scan_mess(struct queue const *q, int headers)
{
  for (unsigned int n = 0; n < q->split; n++) {
    char path[QFILE_NAME_MAX];
    snprintf(path, sizeof path, "mess/%u", n);
    if (!scan(q, path, headers)) return 0;
  }
  return 1;
}

/* After a power cut a message may stand in mess/ under an older name, too. A
 * clock that is right is past its id; only with another one are all read. */
int ids_open(struct queue *q)
{
  if (!map_last(q) || !scan(q, "free", 1) || !scan_mess(q, 0)) return 0;
  return clock_wall_us() > atomic_load(q->lastid) || scan_mess(q, 1);
}
