/* copy.c - copy a message; see copy.h */

#include <errno.h>

#include <skalibs/allreadwrite.h>

#include "copy.h"

#define CHUNK 65536

enum copy_result copy_bytes(int in, int out, uint64_t length, copy_look *look, void *arg,
                            uint64_t *copied)
{
  char buf[CHUNK];
  *copied = 0;
  while (*copied < length) {
    uint64_t left = length - *copied;
    ssize_t r = fd_read(in, buf, left < sizeof buf ? (size_t)left : sizeof buf);
    if (r == -1) return COPY_READ;
    if (!r) return length == COPY_ALL ? COPY_OK : COPY_SHORT;
    size_t n = (size_t)r;
    if (look && !look(arg, buf, n)) return COPY_STOPPED;
    errno = 0;
    if (allwrite(out, buf, n) < n) return (errno = errno ? errno : EIO, COPY_WRITE);
    *copied += n;
  }
  return COPY_OK;
}
