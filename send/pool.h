/* pool.h - the bounds of queue/free/: control/queuepool */
#ifndef PIPIT_SEND_POOL_H
#define PIPIT_SEND_POOL_H

#include <stdint.h>

#define POOL_FILES     1000     /* default of queuepool's first number */
#define POOL_BYTES     67108864 /* of its second */
#define POOL_FILES_MAX 1000000
#define POOL_FILE_MAX  65536    /* bytes: a larger file is removed */
#define POOL_RECOUNT   1000     /* milliseconds between two countings of a pool that seems full */

struct pool {
  uint64_t files_max, bytes_max;
  uint64_t files, bytes; /* as far as known: queued takes files without a word */
  uint64_t counted;      /* clock_ms() */
};

/* Read control/queuepool: "<files> [<bytes>]". 1, or 0 and <*why>; the values stay then. */
extern int pool_load(struct pool *p, char const **why);
/* Is there room for a file of <bytes>? */
extern int pool_room(struct pool const *p, uint64_t bytes);

#endif
