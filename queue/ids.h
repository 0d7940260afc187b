/* ids.h - give out message ids: unique and rising, whatever the clock does
 *
 * The last id given stands in queue/lock/lastid (8 bytes, the host's byte
 * order), which every process of queued has mapped.
 */
#ifndef PIPIT_IDS_H
#define PIPIT_IDS_H

#include "queued.h"

#define IDS_MAX ((uint64_t)1 << 62) /* the year 148,000: a name above it is no id of ours */

/* Map lock/lastid and raise it above every id in mess/ and free/, and above
 * the ids in the headers of free/, where messages stand under older names, and,
 * where the clock is behind all of these, of mess/. Files that a killed queued began under a name of no id
 * (.new-...) are removed. 1, or 0 with errno. */
extern int ids_open(struct queue *q);

/* The next id. */
extern uint64_t ids_next(struct queue const *q);

#endif
