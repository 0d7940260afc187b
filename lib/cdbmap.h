/* cdbmap.h - look keys up in a cdb file, through tinycdb
 *
 * The only file that includes <cdb.h>: libskarnet exports functions of the
 * same names. A damaged file is an error, never "not found".
 */
#ifndef PIPIT_CDBMAP_H
#define PIPIT_CDBMAP_H

#include <stddef.h>

#include <skalibs/stralloc.h>

struct cdbmap;

/* Open <path> (relative to the descriptor <dirfd>). 1 and <*map>; 0 if there
 * is no such file; -1 with errno (EPROTO: not a cdb). */
extern int cdbmap_open(struct cdbmap **map, int dirfd, char const *path);

/* Append the first value for the key to <value>. 1 found, 0 not found, -1 with
 * errno (EPROTO: the file is damaged, ENOMEM). */
extern int cdbmap_get(struct cdbmap *map, char const *key, size_t len, stralloc *value);

/* Close; <map> may be NULL. */
extern void cdbmap_close(struct cdbmap *map);

#endif
