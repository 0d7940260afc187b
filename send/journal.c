/* journal.c - what the keeper has done since all of it was last on disk; see journal.h */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <skalibs/random.h>
#include <skalibs/types.h>
#include <skalibs/uint64.h>

#include "fileat.h"
#include "journal.h"
#include "lines.h"

#define JOURNAL_TITLE "pipit-journal-1"
#define RESERVE_STEP  65536

/* Take "<letter> <id> <nonce>[ <payload>]" apart and show it. */
static int show(char const *s, size_t len, journal_line *f, void *data)
{
  char nonce[QFILE_NONCE];
  uint64_t id;
  size_t pos = 2;
  if (len < 3 || s[1] != ' ' || !lines_number(s, len, &pos, &id)) return 1;
  if (len - pos < 2 * QFILE_NONCE || !lines_unhex(nonce, s + pos)) return 1;
  pos += 2 * QFILE_NONCE;
  if (pos < len) pos++;
  return f(data, s[0], id, nonce, s + pos, len - pos);
}

static int read_all(struct journal *j, journal_line *f, void *data)
{
  struct lines *l = malloc(sizeof *l);
  char const *s;
  size_t len;
  if (!l) return 0;
  int r = lines_open(l, j->fd, JOURNAL_TITLE);
  while (r == 1 && (r = lines_next(l, &s, &len)) == 1)
    if (!show(s, len, f, data)) r = -1;
  int e = errno;
  free(l);
  errno = e;
  return r != -1;
}

int journal_open(struct journal *j, int queuefd, journal_line *f, void *data)
{
  j->queuefd = queuefd;
  j->fd = openat(queuefd, JOURNAL_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  return j->fd != -1 && read_all(j, f, data);
}

static int is_space_plenty(int fd)
{
  struct statvfs v;
  return fstatvfs(fd, &v) == 0 && v.f_bavail > JOURNAL_SPACE / v.f_frsize;
}

/* Zeros end a journal as its end does. */
void journal_reserve(struct journal *j)
{
  static char zeros[RESERVE_STEP];
  struct stat st;
  if (fstat(j->fd, &st) == -1 || st.st_size >= JOURNAL_MAX || !is_space_plenty(j->fd)) return;
  uint64_t at = (uint64_t)st.st_size;
  for (size_t n; at < JOURNAL_MAX; at += n) {
    n = JOURNAL_MAX - at < sizeof zeros ? (size_t)(JOURNAL_MAX - at) : sizeof zeros;
    if (!fileat_write(j->fd, zeros, n, at)) break;
  }
  if (at < JOURNAL_MAX || fdatasync(j->fd) == -1) (void)!ftruncate(j->fd, st.st_size);
}

int journal_renew(struct journal *j)
{
  stralloc title = STRALLOC_ZERO;
  char nonce[QFILE_NONCE];
  if (syncfs(j->queuefd) == -1) return 0;
  random_buf(nonce, sizeof nonce);
  int ok = lines_title(&title, JOURNAL_TITLE, nonce) && fileat_write(j->fd, title.s, title.len, 0) &&
           fdatasync(j->fd) == 0;
  if (ok) {
    memcpy(j->nonce, nonce, sizeof nonce);
    j->end = title.len;
  }
  stralloc_free(&title);
  return ok;
}

static int note(struct journal *j, char letter, uint64_t id, char const *nonce, char const *payload,
                size_t len)
{
  char head[2 + UINT64_FMT + 1 + 2 * QFILE_NONCE + 1] = { letter, ' ' };
  size_t n = 2 + uint64_fmt(head + 2, id);
  head[n++] = ' ';
  lines_hex(head + n, nonce);
  n += 2 * QFILE_NONCE;
  head[n++] = ' ';
  stralloc line = STRALLOC_ZERO;
  int ok = stralloc_catb(&line, head, n) && stralloc_catb(&line, payload, len) &&
           lines_add(&j->pending, j->nonce, line.s, line.len);
  stralloc_free(&line);
  return ok;
}

int journal_ended(struct journal *j, uint64_t id, char const nonce[QFILE_NONCE])
{
  return note(j, 'e', id, nonce, "", 0);
}

int journal_state(struct journal *j, uint64_t id, char const nonce[QFILE_NONCE],
                  char const *payload, size_t len)
{
  return note(j, 's', id, nonce, payload, len);
}

/* When the journal is full, the sync of the whole file system takes the place
 * of the lines that wait: what they tell was done before. */
int journal_sync(struct journal *j)
{
  if (!j->pending.len) return 1;
  if (j->end + j->pending.len > JOURNAL_MAX) {
    if (!journal_renew(j)) return 0;
  } else {
    if (!fileat_write(j->fd, j->pending.s, j->pending.len, j->end) || fdatasync(j->fd) == -1) return 0;
    j->end += j->pending.len;
  }
  j->pending.len = 0;
  return 1;
}
