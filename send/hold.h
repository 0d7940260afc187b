/* hold.h - what is held: mail that is taken in and not tried until it is released
 *
 * The set lies in queue/lock/holds, lines (lines.h) of the title HOLDS_TITLE:
 *   n <count>          the first one: how many follow
 *   <kind>[ <value>]   one of them (selector.h)
 * The keeper replaces the file as a whole; send reads it when it starts, and
 * pipit-qread to show what is held.
 */
#ifndef PIPIT_SEND_HOLD_H
#define PIPIT_SEND_HOLD_H

#include <stddef.h>
#include <stdint.h>

#include "selector.h"

#define HOLDS_NAME  "lock/holds" /* below queue/ */
#define HOLDS_TITLE "pipit-holds-1"
#define HOLDS_MAX   1000

struct holds {
  struct selector *items; /* each value is allocated */
  size_t count, room;
};
#define HOLDS_ZERO { 0 }

/* Put a copy of <sel> in. 1, 0 it was there, -1 with ENOMEM, or ENOSPC for one over HOLDS_MAX. */
extern int holds_add(struct holds *h, struct selector const *sel);
/* Take it out. 1, or 0 when it was not there. */
extern int holds_remove(struct holds *h, struct selector const *sel);
extern void holds_free(struct holds *h);

/* Is this recipient, whose address was rewritten, held? */
extern int holds_rcpt(struct holds const *h, uint64_t id, char const *sender, size_t slen,
                      char const *addr, size_t alen);

/* Read the set of the queue at <queuefd> into an empty <h>; without a file it is
 * empty. 1, or 0 with errno (EPROTO: the file is damaged). */
extern int holds_read(struct holds *h, int queuefd);
/* Replace the file; it is on disk then. 1, or 0 with errno: the old one stays. */
extern int holds_write(struct holds const *h, int queuefd);

#endif
