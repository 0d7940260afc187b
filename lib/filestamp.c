/* filestamp.c - FNV-1a over what tells one version of a file from another; see filestamp.h */

#include <fcntl.h>

#include "filestamp.h"

uint64_t filestamp_stat(uint64_t stamp, struct stat const *st)
{
  static struct stat const none;
  if (!st) st = &none;
  uint64_t const parts[] = { (uint64_t)(st != &none), st->st_ino, (uint64_t)st->st_size,
                             (uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    stamp = (stamp ^ parts[i]) * 1099511628211u;
  return stamp;
}

uint64_t filestamp_add(uint64_t stamp, int dirfd, char const *path)
{
  struct stat st;
  return filestamp_stat(stamp, fstatat(dirfd, path, &st, 0) == 0 ? &st : 0);
}
