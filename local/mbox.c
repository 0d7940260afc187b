/* mbox.c - append to an mbox file; see mbox.h */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/buffer.h>

#include "fileat.h"
#include "mbox.h"
#include "mboxfile.h"
#include "mboxlock.h"
#include "program.h"

#define CHUNK 65536

/* Append the message to a file of <size> bytes. 1, perhaps with something to say in <r>; or 0 with
 * errno. */
static int append(int fd, off_t size, struct delivery const *d, struct message *m, char const *path,
                  struct report *r)
{
  static char buf[CHUNK];
  buffer b = BUFFER_INIT(&buffer_write, fd, buf, sizeof buf);
  char const *gap = mboxfile_gap(fd, size);
  if (!gap) return 0;
  if (*gap)
    report_fail(r, 0, "The last message in %s has no blank line after it; was it cut off at %llu?",
                path, (unsigned long long)size);
  return buffer_puts(&b, gap) >= 0 && buffer_put(&b, d->ufline.s, d->ufline.len) >= 0 &&
         buffer_put(&b, d->rpline.s, d->rpline.len) >= 0 &&
         buffer_put(&b, d->dtline.s, d->dtline.len) >= 0 && lseek(m->fd, 0, SEEK_SET) != -1 &&
         mboxfile_put(&b, m->fd) && buffer_flush(&b) && fsync(fd) == 0;
}

/* The mbox is locked. */
static int deliver(int fd, struct delivery const *d, struct message *m, char const *path,
                   struct report *r)
{
  struct stat st;
  if (!mboxfile_is_same(fd, path, &st))
    return report_fail(r, EXIT_TEMPORARY, "The file %s was replaced meanwhile. (#4.3.0)", path);
  if (append(fd, st.st_size, d, m, path, r) && (st.st_size || fileat_sync_above(path))) return 1;
  report_fail(r, EXIT_TEMPORARY, "Unable to write %s: %s. (#4.3.0)", path, strerror(errno));
  if (ftruncate(fd, st.st_size) == 0) fsync(fd);
  return 0;
}

int mbox_deliver(struct delivery const *d, struct message *m, char const *path, struct report *r)
{
  struct stat st;
  struct mboxlock lock;
  int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
  if (fd == -1)
    return report_fail(r, EXIT_TEMPORARY, "Unable to open %s: %s. (#4.2.1)", path, strerror(errno));
  int ok = 0;
  if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
    report_fail(r, EXIT_TEMPORARY, "Unable to open %s: it is no regular file. (#4.2.1)", path);
  else if (mboxlock_get(&lock, fd, path, r)) {
    ok = deliver(fd, d, m, path, r);
    mboxlock_drop(&lock);
  }
  if (close(fd) == -1 && ok)
    ok = report_fail(r, EXIT_TEMPORARY, "Unable to write %s: %s. (#4.3.0)", path, strerror(errno));
  return ok;
}
