/* cdbmap.h - look keys up in a cdb file, through tinycdb
 *
 * Only this and cdbwrite.c include <cdb.h>: libskarnet exports functions of the
 * same names. A damaged file is an error, never "not found".
 */
#ifndef PIPIT_CDBMAP_H
#define PIPIT_CDBMAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <skalibs/stralloc.h>

struct cdbmap;

/* Open <path> (relative to the descriptor <dirfd>). 1 and <*map>; 0 if there
 * is no such file; -1 with errno (EPROTO: not a cdb). */
extern int cdbmap_open(struct cdbmap **map, int dirfd, char const *path);

/* The same of a copy in memory: a file is mapped, and whoever cuts it off in its
 * place kills those who look into it. For who keeps it open. */
extern int cdbmap_open_copy(struct cdbmap **map, int dirfd, char const *path);

/* Append the first value for the key to <value>. 1 found, 0 not found, -1 with
 * errno (EPROTO: the file is damaged, ENOMEM). */
extern int cdbmap_get(struct cdbmap *map, char const *key, size_t len, stralloc *value);

/* Is there a key that is the domain itself, in lower case, or one of its parents with a
 * leading dot (morercpthosts.cdb)? As cdbmap_get. */
extern int cdbmap_has_domain(struct cdbmap *map, char const *domain, size_t len);

/* A cdb has no checksum, so a damaged one may say "not found" of a key that is
 * there. Walk the whole file and check that every record can be found: 1, or
 * -1 with errno EPROTO. The file that held last is remembered in <*stamp> (start
 * with zeros), and is not walked again until it changes. */
struct cdbmap_stamp {
  dev_t dev;
  ino_t ino;
  off_t size;
  struct timespec mtime, ctime;
};
extern int cdbmap_verify(struct cdbmap *map, struct cdbmap_stamp *stamp);

/* The stamp of a file; stamps are compared whole, with memcmp. */
extern void cdbmap_stamp_set(struct cdbmap_stamp *stamp, struct stat const *st);

/* Walk over all records of a file that cdbmap_verify found sound. <*pos> is 0 at first. 1 and
 * <r>, valid until the file is closed; 0 at the end. */
struct cdbmap_record {
  char const *key, *value;
  size_t klen, vlen;
};
extern int cdbmap_next(struct cdbmap *map, uint64_t *pos, struct cdbmap_record *r);

/* Close; <map> may be NULL. */
extern void cdbmap_close(struct cdbmap *map);

#endif
