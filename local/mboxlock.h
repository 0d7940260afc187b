/* mboxlock.h - lock an mbox against everybody who might change it meanwhile */
#ifndef PIPIT_MBOXLOCK_H
#define PIPIT_MBOXLOCK_H

#include <signal.h>

#include "report.h"

#define MBOXLOCK_STALE 300 /* seconds: a lock file that nobody has touched for so long is removed  \
                            */

struct mboxlock {
  int fd;
  char const *path;
  char *name; /* of the lock file; NULL: there is to be none */
  sigset_t signals;
};

/* Lock the file <path>, open for writing as <fd>: with flock and fcntl (where the file system has
 * only one of them, that is enough) and, if control/mboxdotlock says so, with a file <path>.lock.
 * All locks are given back while one of them is waited for, so nobody waits for us meanwhile. With
 * 1 no signal ends the process until mboxlock_drop; or 0 and <r>. */
extern int mboxlock_get(struct mboxlock *l, int fd, char const *path, struct report *r);

/* Remove the lock file, and hear signals again; the other locks end when <fd> is closed. */
extern void mboxlock_drop(struct mboxlock *l);

#endif
