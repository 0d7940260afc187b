/* newfile.h - make a file in the queue that has no name until it is whole */
#ifndef PIPIT_NEWFILE_H
#define PIPIT_NEWFILE_H

#include "qfile.h"
#include "queued.h"

#define NEWFILE_BEGUN ".new-" /* how a name starts where files without one cannot be made */

struct newfile {
  int fd; /* open for reading and writing, locked; or -1 */
  char begun[QFILE_NAME_MAX]; /* its name for the time being, or empty */
};
#define NEWFILE_NONE { .fd = -1 }

/* Make a file in <dir> ("mess/3", "free"; O_TMPFILE, else with a name that is
 * no id). 1, or 0 with errno. */
extern int newfile_open(struct newfile *f, struct queue const *q, char const *dir, uint64_t id);

/* Give it its name; nothing is ever replaced. 1, or 0 with errno (EEXIST). */
extern int newfile_link(struct newfile *f, struct queue const *q, char const *name);

/* Close it; a file that has no name but the one it was begun under is removed. */
extern void newfile_close(struct newfile *f, struct queue const *q);

/* fsync a directory below queue/. 1, or 0 with errno. */
extern int newfile_sync_dir(struct queue const *q, char const *dir);

#endif
