/* records.c - read the envelope of a queue file; see records.h */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "records.h"

void records_open(struct records *e, int fd, struct qfile const *q, uint64_t from)
{
  e->fd = fd;
  e->next = from ? from : QFILE_HEADER + q->msglen;
  e->end = QFILE_HEADER + q->msglen + q->envlen;
  e->at = e->have = 0;
}

/* Read more behind what is there. 1; 0 at the end; -1 with errno. */
static int fill(struct records *e)
{
  memmove(e->buf, e->buf + e->at, e->have - e->at);
  e->have -= e->at;
  e->at = 0;
  uint64_t pos = e->next + e->have;
  size_t room = sizeof e->buf - e->have;
  if (!room) return (errno = EPROTO, -1);
  if (pos >= e->end) return 0;
  if (room > e->end - pos) room = (size_t)(e->end - pos);
  for (;;) {
    ssize_t r = pread(e->fd, e->buf + e->have, room, (off_t)pos);
    if (r == -1 && errno == EINTR) continue;
    if (r == -1) return -1;
    e->have += (size_t)r;
    return r > 0;
  }
}

int records_next(struct records *e, char *letter, char const **s, size_t *len)
{
  char *nul;
  while (!(nul = memchr(e->buf + e->at, 0, e->have - e->at))) {
    int r = fill(e);
    if (r == -1) return -1;
    if (!r) return e->have == e->at ? 0 : (errno = EPROTO, -1);
  }
  char *record = e->buf + e->at;
  size_t size = (size_t)(nul - record) + 1;
  if (size > RECORD_MAX || !memchr("FXT", *record, 3)) return (errno = EPROTO, -1);
  *letter = *record;
  *s = record + 1;
  *len = size - 2;
  e->at += size;
  e->next += size;
  return 1;
}
