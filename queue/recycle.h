/* recycle.h - put a message into a finished file, by the rules of ARCHITECTURE.md */
#ifndef PIPIT_RECYCLE_H
#define PIPIT_RECYCLE_H

#include "message.h"

struct recycled {
  int fd;        /* open for reading and writing, locked */
  uint64_t name; /* in free/ */
  uint64_t end;  /* no byte of an older content lies behind it */
};

/* Take a file of the pool, which stays where it is. 1, or 0 when there is none to be had. */
extern int recycle_take(struct recycled *r, struct queue const *q);

/* Write what is in the message's buffer, zero what the old content leaves
 * behind it, write the header, sync, close. 1, or 0 with errno: then the file
 * is still open and locked. */
extern int recycle_write(struct recycled *r, struct message const *m);

/* Remove the file, whose writing failed, and close it. */
extern void recycle_drop(struct recycled *r, struct queue const *q);

#endif
