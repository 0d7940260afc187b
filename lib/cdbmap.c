/* cdbmap.c - look keys up in a cdb file, through tinycdb; see cdbmap.h */

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "cdbmap.h"

struct cdbmap {
  struct cdb cdb;
  int fd;
};

int cdbmap_open(struct cdbmap **map, int dirfd, char const *path)
{
  struct cdbmap *m = malloc(sizeof *m);
  if (!m) return -1;
  m->fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
  if (m->fd == -1) {
    free(m);
    return errno == ENOENT ? 0 : -1;
  }
  if (cdb_init(&m->cdb, m->fd) == -1) {
    close(m->fd);
    free(m);
    return (errno = EPROTO, -1);
  }
  *map = m;
  return 1;
}

int cdbmap_get(struct cdbmap *map, char const *key, size_t len, stralloc *value)
{
  if (len > UINT_MAX) return 0;
  int r = cdb_find(&map->cdb, key, (unsigned int)len);
  if (r < 0) return (errno = EPROTO, -1);
  if (!r) return 0;
  unsigned int n = cdb_datalen(&map->cdb);
  if (!stralloc_readyplus(value, n)) return -1;
  if (cdb_read(&map->cdb, value->s + value->len, n, cdb_datapos(&map->cdb)) == -1)
    return (errno = EPROTO, -1);
  value->len += n;
  return 1;
}

void cdbmap_close(struct cdbmap *map)
{
  if (!map) return;
  cdb_free(&map->cdb);
  close(map->fd);
  free(map);
}
