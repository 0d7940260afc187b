/* spool.c - files without a name; see spool.h */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>

#include "spool.h"

#define BLOCK 65536

int spool_open(void)
{
  char const *dir = getenv("TMPDIR");
  int fd = dir && *dir ? open(dir, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600) : -1;
  if (fd == -1) fd = open("/tmp", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
  if (fd == -1) fd = memfd_create("spool", MFD_CLOEXEC);
  return fd;
}

int spool_open_in(char const *dir)
{
  int fd = open(dir, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
  return fd == -1 ? spool_open() : fd;
}

static int fail(int fd)
{
  int e = errno;
  close(fd);
  errno = e;
  return -1;
}

int spool_part(int from, uint64_t offset, uint64_t length)
{
  char buf[BLOCK];
  int fd = spool_open();
  if (fd == -1) return -1;
  while (length) {
    ssize_t r = pread(from, buf, length < sizeof buf ? (size_t)length : sizeof buf, (off_t)offset);
    if (r == -1 && errno == EINTR) continue;
    if (r == 0) errno = EPIPE;
    if (r <= 0 || allwrite(fd, buf, (size_t)r) < (size_t)r) return fail(fd);
    offset += (uint64_t)r;
    length -= (uint64_t)r;
  }
  return lseek(fd, 0, SEEK_SET) == 0 ? fd : fail(fd);
}

static int is_seekable(int fd, uint64_t *offset, uint64_t *length)
{
  struct stat st;
  off_t at = lseek(fd, 0, SEEK_CUR);
  if (at == -1 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) return 0;
  *offset = (uint64_t)at;
  *length = st.st_size > at ? (uint64_t)(st.st_size - at) : 0;
  return 1;
}

int spool_whole(int *fd, uint64_t *offset, uint64_t *length)
{
  char buf[BLOCK];
  if (is_seekable(*fd, offset, length)) return 1;
  int to = spool_open();
  if (to == -1) return 0;
  *offset = *length = 0;
  for (;;) {
    ssize_t r = fd_read(*fd, buf, sizeof buf);
    if (r == 0) break;
    if (r < 0 || allwrite(to, buf, (size_t)r) < (size_t)r) return fail(to) != -1;
    *length += (uint64_t)r;
  }
  *fd = to;
  return 1;
}
