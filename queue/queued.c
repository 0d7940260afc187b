/* queued.c - what the modules of pipit-queued share; see queued.h */

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "logline.h"
#include "queued.h"

int queue_room(struct queue const *q, uint64_t bytes)
{
  struct statvfs st;
  if (fstatvfs(q->dir, &st) == -1) return 0;
  uint64_t need = q->settings.reserve_bytes;
  need = bytes > UINT64_MAX - need ? UINT64_MAX : need + bytes;
  int room = st.f_frsize && st.f_bavail >= need / st.f_frsize + (need % st.f_frsize != 0);
  if (st.f_files && st.f_favail < q->settings.reserve_inodes) room = 0;
  if (!room) errno = ENOSPC;
  return room;
}

static void report(char const *level, char const *what)
{
  struct logline l = LOGLINE_ZERO;
  int e = errno;
  logline_text(&l, level);
  logline_text(&l, ": queued: ");
  logline_text(&l, what);
  if (e) logline_key(&l, "error", strerror(e));
  logline_write(&l);
  errno = e;
}

void queue_alert(char const *what)
{
  report("alert", what);
}

void queue_warning(char const *what)
{
  report("warning", what);
}
