/* cdbwrite.h - write a cdb file that appears as a whole, or not at all
 *
 * It is written beside its place, as <path>.tmp, which is locked: of two that
 * write the same file at the same time, the second waits. Who is looked up in
 * the old file meanwhile goes on finding that.
 */
#ifndef PIPIT_CDBWRITE_H
#define PIPIT_CDBWRITE_H

#include <stddef.h>

struct cdbwrite;

/* Begin the file <path>, relative to the descriptor <dirfd>. <*w>, or 0 with errno. */
extern int cdbwrite_begin(struct cdbwrite **w, int dirfd, char const *path);

/* Only its owner is to be able to read it. */
extern void cdbwrite_private(struct cdbwrite *w);

/* Add a record, also when there is one of that key: readers find the first. 1, or
 * 0 with errno (ENOMEM also: more than a cdb can hold). */
extern int cdbwrite_add(struct cdbwrite *w, char const *key, size_t klen, char const *value,
                        size_t vlen);

/* Is there a record with that key? 1, 0, or -1 with errno. */
extern int cdbwrite_has(struct cdbwrite *w, char const *key, size_t len);

/* Put the file in its place, readable for all (or see above), and sync it and its directory. It ends
 * <w> in any case. 1, or 0 with errno; then the old file is in its place, unless
 * the directory alone could not be synced. */
extern int cdbwrite_commit(struct cdbwrite *w);

/* Leave the old file as it is; ends <w>. */
extern void cdbwrite_abandon(struct cdbwrite *w);

#endif
