/* walk.h - find the messages on disk that a command means, in slices
 *
 * free/ comes first and then mess/: what is moved meanwhile is seen there. A
 * message counts when one of its recipients is meant and not finished. Mail
 * that comes in meanwhile may be among them.
 */
#ifndef PIPIT_SEND_WALK_H
#define PIPIT_SEND_WALK_H

#include <stdint.h>

#include "selector.h"

#define WALK_NAMES   1000 /* names looked at in one slice */
#define WALK_FILES   50   /* files opened in one slice */
#define WALK_RECORDS 2000 /* records of envelopes read in one slice */

enum walked { WALK_END, WALK_MORE, WALK_FOUND };

struct send;
struct walk;

/* Begin; without <held>, recipients that are held are not meant. NULL with ENOMEM. */
extern struct walk *walk_begin(struct selector const *sel, int held);
extern void walk_free(struct walk *w);
/* A new slice. */
extern void walk_slice(struct walk *w);
/* The next message: WALK_FOUND with its <id> and <place> (its name in free/, or 0); WALK_MORE when
 * the slice is used up; WALK_END after the last one. */
extern enum walked walk_next(struct walk *w, struct send const *s, uint64_t *id, uint64_t *place);
/* Files and directories that could not be read. */
extern unsigned int walk_trouble(struct walk const *w);

#endif
