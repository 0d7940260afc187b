/* freelist.h - which files in queue/free/ are finished and may be used again
 *
 * queue/lock/pool is a FIFO of their names, 8 bytes each, big-endian. send's
 * keeper puts in what has been delivered and pipit-queued what it has made;
 * queued's children take out. A name is only a hint: who takes it checks the
 * file by the rules of ARCHITECTURE.md. Both keep the FIFO open, so it outlives
 * either; what is lost with both is put in again by the keeper's look at free/.
 */
#ifndef PIPIT_FREELIST_H
#define PIPIT_FREELIST_H

#include <stddef.h>
#include <stdint.h>

#define FREELIST_NAME "lock/pool"
#define FREELIST_MODE 0660

/* Open the FIFO below queue/, made when it is missing. The descriptor, or -1 with errno. */
extern int freelist_open(int queuefd);
/* Give it room for <files> names, as far as the system allows. */
extern void freelist_grow(int fd, uint64_t files);
/* Put a name in. 1, or 0 when it is full. */
extern int freelist_put(int fd, uint64_t name);
/* Take the oldest one out. 1, or 0 when there is none. */
extern int freelist_take(int fd, uint64_t *name);
/* How many there are. */
extern uint64_t freelist_count(int fd);

#endif
