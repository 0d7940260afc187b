/* journal.h - queue/lock/done: what the keeper has done since all of it was last on disk
 *
 * One file of checksummed lines (lines.h), synced once a second; everything
 * else that the keeper writes is synced only before the journal begins anew.
 * So after a power cut the journal says what must be done again:
 *   e <id> <nonce>            the message is finished: its mark may be lost
 *   s <id> <nonce> <payload>  a line of its state file may be lost
 * It is written again from its start, with another nonce, when it has reached
 * JOURNAL_MAX. The file has that size from the start where there is space enough:
 * a write that allocates nothing needs no commit of the file system's own journal,
 * which would each time take along the inodes of all files that were used since.
 */
#ifndef PIPIT_SEND_JOURNAL_H
#define PIPIT_SEND_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#include "qfile.h"

#define JOURNAL_NAME "lock/done"
#define JOURNAL_MAX  4194304
#define JOURNAL_SPACE (16 * (uint64_t)JOURNAL_MAX) /* bytes free on a disk where it may have its size at once */

struct journal {
  int fd;
  int queuefd;
  uint64_t end;     /* where new lines go */
  stralloc pending; /* lines that were not written */
  char nonce[QFILE_NONCE];
};
#define JOURNAL_ZERO { .fd = -1, .pending = STRALLOC_ZERO }

/* Called with each line found: its letter, id, nonce, payload (of s). 1 to go on, 0 to stop. */
typedef int journal_line(void *data, char letter, uint64_t id, char const *nonce,
                         char const *payload, size_t len);

/* Open the journal of the queue at <queuefd>, and show what is in it. 1, or 0 with errno. */
extern int journal_open(struct journal *j, int queuefd, journal_line *f, void *data);

/* Give the file its size, unless it has it or space is short. */
extern void journal_reserve(struct journal *j);

/* Begin anew: everything of the queue's file system is synced first. 1, or 0 with errno. */
extern int journal_renew(struct journal *j);

/* Note a line, to be written by journal_sync. 1, or 0 with ENOMEM. */
extern int journal_ended(struct journal *j, uint64_t id, char const nonce[QFILE_NONCE]);
extern int journal_state(struct journal *j, uint64_t id, char const nonce[QFILE_NONCE],
                         char const *payload, size_t len);

/* Write and sync what was noted. 1, or 0 with errno: nothing is lost, try again later. */
extern int journal_sync(struct journal *j);

#endif
