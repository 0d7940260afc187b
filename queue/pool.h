/* pool.h - finished files that wait in queue/free/ to be used again
 *
 * The children of queued take them by the list that lib/freelist.h has. One
 * process, the filler, makes files in batches when they run low, and puts in
 * again what it finds in free/ when the list is empty.
 */
#ifndef PIPIT_POOL_H
#define PIPIT_POOL_H

#include "queued.h"

#define POOL_LOW       32 /* with fewer files on the list the filler is called */
#define POOL_BATCH     64 /* files that are made at a time, when fewer are there */
#define POOL_FILE_SIZE 8192 /* bytes of a file that is made */

/* Open the list and make the part that all processes share, before forking. NULL with errno. */
extern struct pool *pool_new(int queuefd, uint64_t files);

/* Take the name of a file off the list: 1, or 0 when none is known. */
extern int pool_take(struct pool *p, uint64_t *name);

/* Put it back: it cannot be used just now. */
extern void pool_give_back(struct pool *p, uint64_t name);

/* Leases do not work on this file system, so nothing is recycled from now on. */
extern void pool_disable(struct pool *p);

/* The filler process. Never returns. */
extern void pool_fill(struct queue const *q) __attribute__((noreturn));

#endif
