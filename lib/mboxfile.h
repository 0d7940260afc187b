/* mboxfile.h - mbox files: their locks, their separators, the quoting between them */
#ifndef PIPIT_MBOXFILE_H
#define PIPIT_MBOXFILE_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include <skalibs/buffer.h>
#include <skalibs/stralloc.h>

/* Lock <fd> as other programs do, by flock and by fcntl; a file system that has only one of the
 * two is enough. 1, or 0 with errno (EWOULDBLOCK: somebody has had it for LOCK_SECONDS, lock.h). */
extern int mboxfile_lock(int fd);

/* Is <path> still the file that is open? A mail reader may have put a new one in its place.
 * 1 and <st> of it, or 0. */
extern int mboxfile_is_same(int fd, char const *path, struct stat *st);

/* What must precede a new message behind the <size> bytes of <fd>: a file that was cut off gets its
 * line and its blank line ended. NULL with errno when that cannot be read. */
extern char const *mboxfile_gap(int fd, off_t size);

/* Append "From sender date\n". No byte of the sender can end the line or a word. 1, or 0 with
 * ENOMEM. */
extern int mboxfile_from(stralloc *out, char const *sender, size_t len, time_t when);

/* Put the rest of <fd> with its "From " lines quoted, and what ends a message: a newline and a
 * blank line. 1, or 0 with errno. */
extern int mboxfile_put(buffer *b, int fd);

#endif
