/* lock.h - wait for locks that somebody else may have */
#ifndef PIPIT_LOCK_H
#define PIPIT_LOCK_H

#define LOCK_SECONDS 30 /* that are waited for a mailbox which somebody else has locked */

/* Call attempt(data) until it returns 1; when it returns 0 with EWOULDBLOCK again after a moment,
 * for LOCK_SECONDS in all. 1, or 0 with errno. */
extern int lock_wait(int (*attempt)(void *), void *data);

/* Try to get an exclusive lock of this kind on the open file. 1, or 0 with errno (EWOULDBLOCK:
 * somebody has it). */
extern int lock_flock(int fd);
extern int lock_fcntl(int fd);

#endif
