/* trigger.h - tell send about a new message */
#ifndef PIPIT_TRIGGER_H
#define PIPIT_TRIGGER_H

#include "queued.h"

/* Write the id, and the name in free/ under which the message lies (0: it lies
 * in mess/ under its own), into queue/lock/trigger; when the FIFO is full, touch
 * queue/lock/overflow instead. Without a send that listens, nothing: it reads
 * the whole queue when it starts. */
extern void trigger_pull(struct queue const *q, uint64_t id, uint64_t name);

#endif
