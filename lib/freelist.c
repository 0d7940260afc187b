/* freelist.c - which files in queue/free/ may be used again; see freelist.h */

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/uint64.h>

#include "freelist.h"

#define ENTRY 8

int freelist_open(int queuefd)
{
  struct stat st;
  int const flags = O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(queuefd, FREELIST_NAME, flags);
  if (fd == -1 && errno == ENOENT && mkfifoat(queuefd, FREELIST_NAME, FREELIST_MODE) == 0 &&
      fchmodat(queuefd, FREELIST_NAME, FREELIST_MODE, 0) == 0)
    fd = openat(queuefd, FREELIST_NAME, flags);
  if (fd == -1) return -1;
  if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) return fd;
  close(fd);
  return (errno = EINVAL, -1);
}

void freelist_grow(int fd, uint64_t files)
{
  int size = files < (1 << 24) ? (int)files * ENTRY : 1 << 27;
  int now = fcntl(fd, F_GETPIPE_SZ);
  if (now == -1 || now >= size) return;
  /* An ordinary account may go up to a limit that is a power of two. */
  while (size > now && fcntl(fd, F_SETPIPE_SZ, size) == -1) size /= 2;
}

int freelist_put(int fd, uint64_t name)
{
  char packed[ENTRY];
  uint64_pack_big(packed, name);
  return fd_write(fd, packed, sizeof packed) == ENTRY;
}

int freelist_take(int fd, uint64_t *name)
{
  char packed[ENTRY];
  if (fd_read(fd, packed, sizeof packed) != ENTRY) return 0;
  uint64_unpack_big(packed, name);
  return 1;
}

uint64_t freelist_count(int fd)
{
  int bytes;
  return ioctl(fd, FIONREAD, &bytes) == -1 || bytes < 0 ? 0 : (uint64_t)bytes / ENTRY;
}
