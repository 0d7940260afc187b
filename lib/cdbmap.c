/* cdbmap.c - look keys up in a cdb file, through tinycdb; see cdbmap.h */

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "cdbmap.h"

struct cdbmap {
  struct cdb cdb;
  int fd;
};

#define COPY_CHUNK 1048576 /* bytes */

/* Take <fd>, an open cdb or -1 with errno. As cdbmap_open. */
static int take(struct cdbmap **map, int fd)
{
  if (fd == -1) return errno == ENOENT ? 0 : -1;
  struct cdbmap *m = malloc(sizeof *m);
  if (m && cdb_init(&m->cdb, fd) == 0) {
    m->fd = fd;
    *map = m;
    return 1;
  }
  close(fd);
  errno = m ? EPROTO : ENOMEM;
  free(m);
  return -1;
}

int cdbmap_open(struct cdbmap **map, int dirfd, char const *path)
{
  return take(map, openat(dirfd, path, O_RDONLY | O_CLOEXEC));
}

/* A file in memory with what is in <fd>; -1 with errno. */
static int copy_of(int fd)
{
  ssize_t n = -1;
  int to = memfd_create("cdb", MFD_CLOEXEC);
  if (to == -1) return -1;
  while ((n = sendfile(to, fd, 0, COPY_CHUNK)) > 0) continue;
  if (!n) return to;
  int e = errno;
  close(to);
  errno = e;
  return -1;
}

int cdbmap_open_copy(struct cdbmap **map, int dirfd, char const *path)
{
  int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
  if (fd == -1) return errno == ENOENT ? 0 : -1;
  int copy = copy_of(fd);
  int e = errno;
  close(fd);
  if (copy == -1) return (errno = e, -1);
  return take(map, copy);
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

int cdbmap_has_domain(struct cdbmap *map, char const *domain, size_t len)
{
  stralloc value = STRALLOC_ZERO;
  int r = 0;
  for (size_t i = 0; i < len && !r; i++)
    if (!i || domain[i] == '.') r = cdbmap_get(map, domain + i, len - i, &value);
  stralloc_free(&value);
  return r;
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
  /* cdb_find looks for tables only behind the records, and in the file. */
  if (!slots || table < c->cdb_dend || table > c->cdb_fsize) return 0;
  if (slots > (c->cdb_fsize - table) / SLOT) return 0;
  for (unsigned int i = 0; i < slots; i++) {
    unsigned int at = table + (unsigned int)(((hash >> 8) + (uint64_t)i) % slots * SLOT);
    unsigned char const *slot = cdb_get(c, SLOT, at);
    if (!slot || !cdb_unpack(slot + 4)) return 0;
    if (cdb_unpack(slot) == hash && cdb_unpack(slot + 4) == pos) return 1;
  }
  return 0;
}

/* The record at <*pos>, and move <*pos> behind it. 1, or 0 when there is none. */
static int record_at(struct cdb const *c, uint64_t *pos, struct cdbmap_record *r)
{
  if (*pos >= c->cdb_dend) return 0;
  unsigned char const *lens = cdb_get(c, SLOT, (unsigned int)*pos);
  if (!lens) return 0;
  r->klen = cdb_unpack(lens);
  r->vlen = cdb_unpack(lens + 4);
  uint64_t next = *pos + SLOT + r->klen + r->vlen;
  if (next > c->cdb_dend) return 0;
  r->key = cdb_get(c, (unsigned int)(r->klen + r->vlen), (unsigned int)*pos + SLOT);
  if (!r->key) return 0;
  r->value = r->key + r->klen;
  *pos = next;
  return 1;
}

/* Walk over the records, which fill the space from the header to the first table. */
static int is_sound(struct cdb const *c)
{
  struct cdbmap_record r;
  uint64_t pos = HEADER;
  if (cdb_unpack(cdb_get(c, SLOT, 0)) != c->cdb_dend) return 0; /* cdb_init has moved it */
  for (uint64_t at = pos; record_at(c, &pos, &r); at = pos)
    if (!is_reachable(c, (unsigned int)at, r.key, (unsigned int)r.klen)) return 0;
  return pos == c->cdb_dend;
}

int cdbmap_next(struct cdbmap *map, uint64_t *pos, struct cdbmap_record *r)
{
  if (!*pos) *pos = HEADER;
  return record_at(&map->cdb, pos, r);
}

void cdbmap_stamp_set(struct cdbmap_stamp *stamp, struct stat const *st)
{
  memset(stamp, 0, sizeof *stamp);
  stamp->dev = st->st_dev;
  stamp->ino = st->st_ino;
  stamp->size = st->st_size;
  stamp->mtime = st->st_mtim;
  stamp->ctime = st->st_ctim;
}

int cdbmap_verify(struct cdbmap *map, struct cdbmap_stamp *stamp)
{
  struct stat st;
  struct cdbmap_stamp now;
  if (fstat(map->fd, &st) == -1) return -1;
  cdbmap_stamp_set(&now, &st);
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
