/* mboxlock.c - lock an mbox; see mboxlock.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>

#include "control.h"
#include "lock.h"
#include "mboxlock.h"
#include "program.h"

/* --- the lock file --- */

/* Make a file beside the lock file, with our process id, under a name that nobody else has. Its
 * name is to be freed; NULL with errno. */
static char *make_own(struct mboxlock const *l, struct stat *st)
{
  char *own, pid[32];
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (asprintf(&own, "%s.%lld.%ld.%ld", l->name, (long long)now.tv_sec, now.tv_nsec,
               (long)getpid()) == -1)
    return 0;
  size_t n = (size_t)snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
  int fd = open(own, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd != -1 && fd_write(fd, pid, n) == (ssize_t)n && fstat(fd, st) == 0) return close(fd), own;
  int e = errno;
  if (fd != -1) {
    close(fd);
    unlink(own);
  }
  free(own);
  errno = e;
  return 0;
}

/* Remove a lock file that was not touched for long, by the clock of the file system, which has just
 * made <own>. No other delivery does that at the same time: the mbox has its other locks. */
static int remove_stale(struct mboxlock const *l, struct stat const *own)
{
  struct stat st;
  if (lstat(l->name, &st) == -1) return errno == ENOENT;
  return st.st_mtime < own->st_mtime - MBOXLOCK_STALE && unlink(l->name) == 0;
}

/* With link it is the name that is locked, on network file systems too; the number of links tells
 * where its answer was lost. */
static int link_own(struct mboxlock const *l, char const *own)
{
  struct stat st;
  if (link(own, l->name) == 0) return 1;
  int e = errno;
  if (stat(own, &st) == 0 && st.st_nlink == 2) return 1;
  errno = e;
  return 0;
}

static int try_file(struct mboxlock const *l)
{
  struct stat st;
  char *own = make_own(l, &st);
  if (!own) return 0;
  int ok = link_own(l, own);
  if (!ok && errno == EEXIST) ok = remove_stale(l, &st) && link_own(l, own);
  int e = errno == EEXIST || errno == ENOENT ? EWOULDBLOCK : errno;
  unlink(own);
  free(own);
  if (!ok) errno = e;
  return ok;
}

/* --- all of them --- */

static int try_both(int fd)
{
  int one = lock_flock(fd);
  if (!one && errno == EWOULDBLOCK) return 0;
  int two = lock_fcntl(fd);
  return two || (one && errno != EWOULDBLOCK);
}

static void unlock_both(int fd)
{
  struct flock l = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
  int e = errno;
  flock(fd, LOCK_UN);
  fcntl(fd, F_SETLK, &l);
  errno = e;
}

static int try_all(void *data)
{
  struct mboxlock *l = data;
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &l->signals);
  if (try_both(l->fd) && (!l->name || try_file(l))) return 1;
  unlock_both(l->fd);
  sigprocmask(SIG_SETMASK, &l->signals, 0);
  return 0;
}

/* Find out what the lock file is called, if there is to be one. 1, or 0 and <r>. */
static int choose_name(struct mboxlock *l, struct report *r)
{
  unsigned long wanted = 0;
  if (control_number("mboxdotlock", &wanted, 1) == -1)
    return report_fail(r, EXIT_TEMPORARY, "%s. (#4.3.5)", control_why());
  l->name = 0;
  if (wanted && asprintf(&l->name, "%s.lock", l->path) == -1)
    return report_fail(r, EXIT_TEMPORARY, "Out of memory. (#4.3.0)");
  return 1;
}

int mboxlock_get(struct mboxlock *l, int fd, char const *path, struct report *r)
{
  l->fd = fd;
  l->path = path;
  if (!choose_name(l, r)) return 0;
  if (lock_wait(try_all, l)) return 1;
  if (errno == EWOULDBLOCK)
    report_fail(r, EXIT_TEMPORARY, "File has been locked for 30 seconds straight. (#4.3.0) %s",
                path);
  else
    report_fail(r, EXIT_TEMPORARY, "Unable to lock %s%s: %s. (#4.3.0)", path,
                l->name ? " with a file beside it" : "", strerror(errno));
  free(l->name);
  return 0;
}

void mboxlock_drop(struct mboxlock *l)
{
  if (l->name) unlink(l->name);
  free(l->name);
  sigprocmask(SIG_SETMASK, &l->signals, 0);
}
