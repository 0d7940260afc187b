/* compose.h - the job (lib/job.h) for some recipients of a message */
#ifndef PIPIT_SEND_COMPOSE_H
#define PIPIT_SEND_COMPOSE_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#include "destination.h"
#include "job.h"

/* How many recipients at the head of <b> one job takes; the bytes of their addresses in <*bytes>. */
extern uint32_t compose_share(struct batch const *b, enum channel channel, size_t *bytes);

/* Fill in <j>, apart from num, waits and fd, for the <n> first recipients of <b>; what it points to
 * is in <text>, in the batch and in its message. 1, or 0 with ENOMEM. */
extern int compose_job(struct job *j, struct batch const *b, uint32_t n, size_t bytes,
                       stralloc *text);

/* Does the whole message go into the packet? */
extern int compose_is_small(struct job const *j);

#endif
