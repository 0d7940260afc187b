/* fileat.c - read and write a stretch of a file as a whole; see fileat.h */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fileat.h"

ssize_t fileat_read(int fd, char *s, size_t len, uint64_t at)
{
  size_t got = 0;
  while (got < len) {
    ssize_t n = pread(fd, s + got, len - got, (off_t)(at + got));
    if (n == -1 && errno == EINTR) continue;
    if (n == -1) return -1;
    if (!n) break;
    got += (size_t)n;
  }
  return (ssize_t)got;
}

int fileat_write(int fd, char const *s, size_t len, uint64_t at)
{
  while (len) {
    ssize_t n = pwrite(fd, s, len, (off_t)at);
    if (n == -1 && errno == EINTR) continue;
    if (n <= 0) {
      if (!n) errno = EIO;
      return 0;
    }
    s += n;
    at += (uint64_t)n;
    len -= (size_t)n;
  }
  return 1;
}

int fileat_sync_directory(int dirfd, char const *path)
{
  int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd == -1) return 0;
  int ok = fsync(fd) == 0;
  int e = errno;
  close(fd);
  errno = e;
  return ok;
}
