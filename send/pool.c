/* pool.c - the bounds of queue/free/; see pool.h */

#include <skalibs/stralloc.h>

#include "control.h"
#include "lines.h"
#include "pool.h"

int pool_load(struct pool *p, char const **why)
{
  stralloc sa = STRALLOC_ZERO;
  uint64_t files = POOL_FILES;
  uint64_t bytes = POOL_BYTES;
  size_t pos = 0;
  int r = control_line("queuepool", &sa);
  *why = control_why();
  if (r == 1 && (!lines_number(sa.s, sa.len, &pos, &files) || files > POOL_FILES_MAX ||
                 (pos < sa.len && !lines_number(sa.s, sa.len, &pos, &bytes)) || pos < sa.len)) {
    *why = "control/queuepool: line 1: write two whole numbers, files and bytes: 1000 67108864";
    r = -1;
  }
  stralloc_free(&sa);
  if (r == -1) return 0;
  p->files_max = files;
  p->bytes_max = bytes;
  return 1;
}

int pool_room(struct pool const *p, uint64_t bytes)
{
  return bytes <= POOL_FILE_MAX && p->files < p->files_max && p->bytes + bytes <= p->bytes_max;
}
