/* pool.h - finished files that wait in queue/free/ to be used again
 *
 * All processes of queued share a ring of ids. One process, the filler, puts
 * in what it finds in free/, and makes files in batches when they run low;
 * the children take out. An id in the ring is only a hint: whoever takes it
 * checks the file.
 */
#ifndef PIPIT_POOL_H
#define PIPIT_POOL_H

#include "queued.h"

#define POOL_RING      1024 /* ids in the ring */
#define POOL_LOW       32   /* with fewer ids in it the filler is called */
#define POOL_BATCH     64   /* files that are made at a time, when fewer are there */
#define POOL_FILE_SIZE 8192 /* bytes of a file that is made */

/* Make the shared part, before forking. NULL with errno. */
extern struct pool *pool_new(void);

/* Take an id out: 1, or 0 when none is known. */
extern int pool_take(struct pool *p, uint64_t *id);

/* Leases do not work on this file system, so nothing is recycled from now on. */
extern void pool_disable(struct pool *p);

/* The filler process. Never returns. */
extern void pool_fill(struct queue const *q) __attribute__((noreturn));

#endif
