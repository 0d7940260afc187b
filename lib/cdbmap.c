/* cdbmap.c - look keys up in a cdb file, through tinycdb; see cdbmap.h */

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
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

#define HEADER 2048 /* bytes: 256 tables, each a position and a number of slots */
#define SLOT   8    /* bytes: a hash and a position */

/* Is there a way from the hash tables to the record at <pos> with the key? */
static int is_reachable(struct cdb const *c, unsigned int pos, void const *key, unsigned int len)
{
  unsigned int hash = cdb_hash(key, len);
  unsigned char const *head = cdb_get(c, SLOT, hash % 256 * SLOT);
  unsigned int table = cdb_unpack(head);
  unsigned int slots = cdb_unpack(head + 4);
  if (!slots || slots > c->cdb_fsize / SLOT) return 0;
  for (unsigned int i = 0; i < slots; i++) {
    uint64_t at = table + (uint64_t)((hash >> 8) + (uint64_t)i) % slots * SLOT;
    unsigned char const *slot = at < c->cdb_fsize ? cdb_get(c, SLOT, (unsigned int)at) : 0;
    if (!slot || !cdb_unpack(slot + 4)) return 0;
    if (cdb_unpack(slot) == hash && cdb_unpack(slot + 4) == pos) return 1;
  }
  return 0;
}

/* Walk over the records, which fill the space from the header to the first table. */
static int is_sound(struct cdb const *c)
{
  uint64_t pos = HEADER;
  while (pos < c->cdb_dend) {
    unsigned char const *lens = cdb_get(c, SLOT, (unsigned int)pos);
    if (!lens) return 0;
    unsigned int klen = cdb_unpack(lens);
    uint64_t next = pos + SLOT + klen + (uint64_t)cdb_unpack(lens + 4);
    if (next > c->cdb_dend) return 0;
    void const *key = cdb_get(c, klen, (unsigned int)pos + SLOT);
    if (!key || !is_reachable(c, (unsigned int)pos, key, klen)) return 0;
    pos = next;
  }
  return pos == c->cdb_dend;
}

int cdbmap_verify(struct cdbmap *map, struct cdbmap_stamp *stamp)
{
  struct stat st;
  struct cdbmap_stamp now;
  if (fstat(map->fd, &st) == -1) return -1;
  memset(&now, 0, sizeof now);
  now.dev = st.st_dev;
  now.ino = st.st_ino;
  now.size = st.st_size;
  now.mtime = st.st_mtim;
  now.ctime = st.st_ctim;
  if (!memcmp(&now, stamp, sizeof now)) return 1;
  if (!is_sound(&map->cdb)) return (errno = EPROTO, -1);
  *stamp = now;
  return 1;
}

void cdbmap_close(struct cdbmap *map)
{
  if (!map) return;
  cdb_free(&map->cdb);
  close(map->fd);
  free(map);
}
