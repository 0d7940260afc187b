/* mbox.c - append to an mbox file; see mbox.h */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/buffer.h>

#include "mbox.h"
#include "mboxfile.h"
#include "program.h"

#define CHUNK 65536

static int append(int fd, off_t size, struct delivery const *d, struct message *m)
{
  static char buf[CHUNK];
  buffer b = BUFFER_INIT(&buffer_write, fd, buf, sizeof buf);
  char const *gap = mboxfile_gap(fd, size);
  if (!gap) return 0;
  return buffer_puts(&b, gap) >= 0 && buffer_put(&b, d->ufline.s, d->ufline.len) >= 0 &&
         buffer_put(&b, d->rpline.s, d->rpline.len) >= 0 &&
         buffer_put(&b, d->dtline.s, d->dtline.len) >= 0 && lseek(m->fd, 0, SEEK_SET) != -1 &&
         mboxfile_put(&b, m->fd) && buffer_flush(&b) && fsync(fd) == 0;
}

static int deliver(int fd, struct delivery const *d, struct message *m, char const *path,
                   struct report *r)
{
  struct stat st;
  sigset_t all, old;
  if (!mboxfile_lock(fd)) {
    if (errno == EWOULDBLOCK)
      return report_fail(r, EXIT_TEMPORARY,
                         "File has been locked for 30 seconds straight. (#4.3.0) %s", path);
    return report_fail(r, EXIT_TEMPORARY, "Unable to lock %s: %s. (#4.3.0)", path, strerror(errno));
  }
  if (!mboxfile_is_same(fd, path, &st))
    return report_fail(r, EXIT_TEMPORARY, "The file %s was replaced meanwhile. (#4.3.0)", path);
  /* Nobody asks us to end while half a message is there. */
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &old);
  int ok = append(fd, st.st_size, d, m) && (st.st_size || mboxfile_sync_folder(path));
  if (!ok) {
    report_fail(r, EXIT_TEMPORARY, "Unable to write %s: %s. (#4.3.0)", path, strerror(errno));
    if (ftruncate(fd, st.st_size) == 0) fsync(fd);
  }
  sigprocmask(SIG_SETMASK, &old, 0);
  return ok;
}

int mbox_deliver(struct delivery const *d, struct message *m, char const *path, struct report *r)
{
  struct stat st;
  int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
  if (fd == -1)
    return report_fail(r, EXIT_TEMPORARY, "Unable to open %s: %s. (#4.2.1)", path, strerror(errno));
  int ok = 0;
  if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
    report_fail(r, EXIT_TEMPORARY, "Unable to open %s: it is no regular file. (#4.2.1)", path);
  else
    ok = deliver(fd, d, m, path, r);
  if (close(fd) == -1 && ok)
    ok = report_fail(r, EXIT_TEMPORARY, "Unable to write %s: %s. (#4.3.0)", path, strerror(errno));
  return ok;
}
