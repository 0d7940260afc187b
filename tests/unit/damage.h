/* damage.h - a file cut off anywhere, and with each byte spoiled, for tests of what reads it */
#ifndef DAMAGE_H
#define DAMAGE_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAMAGE_CUT SIZE_MAX /* as <at>: the file was cut off */

struct damage {
  char whole[65536], broken[65536];
  size_t size;
};

/* A new file each time: ext4 waits for the disk when one was cut to nothing and is closed. */
static inline void damage_store(char const *path, char const *s, size_t len)
{
  unlink(path);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (fd == -1 || write(fd, s, len) != (ssize_t)len || close(fd)) exit(111);
}

static inline void damage_load(struct damage *d, char const *path)
{
  int fd = open(path, O_RDONLY);
  ssize_t n = fd == -1 ? -1 : read(fd, d->whole, sizeof d->whole);
  if (n <= 0 || close(fd)) exit(111);
  d->size = (size_t)n;
}

/* Damage the file that was loaded, in <path>, and count what <lies> finds: cut to each
 * size, and with each byte changed in one bit, which is another one every time. */
static inline int damage_cut(struct damage *d, char const *path, int (*lies)(struct damage const *, size_t))
{
  int bad = 0;
  for (size_t n = 0; n < d->size; n++) {
    damage_store(path, d->whole, n);
    bad += lies(d, DAMAGE_CUT);
  }
  return bad;
}

static inline int damage_spoil(struct damage *d, char const *path, int (*lies)(struct damage const *, size_t))
{
  int bad = 0;
  for (size_t at = 0; at < d->size; at++) {
    memcpy(d->broken, d->whole, d->size);
    d->broken[at] = (char)(d->broken[at] ^ 1 << (at * 5 % 8));
    damage_store(path, d->broken, d->size);
    bad += lies(d, at);
  }
  return bad;
}

#endif
