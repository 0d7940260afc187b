/* keeper_state.c - the keeper's state files; see keeper.h and state.h */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "fileat.h"
#include "keeper.h"
#include "lines.h"
#include "log.h"
#include "state.h"

#define STATE_MODE 0660

static void pool_name(char out[QFILE_NAME_MAX], unsigned int n)
{
  snprintf(out, QFILE_NAME_MAX, "state/free/%u", n);
}

void kstate_init(struct keeper *k)
{
  char name[QFILE_NAME_MAX];
  struct stat st;
  if (mkdirat(k->queuefd, "state/free", 02770) == -1 && errno != EEXIST) return;
  for (k->statepool = 0; k->statepool < KEEPER_STATEPOOL; k->statepool++) {
    pool_name(name, k->statepool);
    if (fstatat(k->queuefd, name, &st, AT_SYMLINK_NOFOLLOW) == -1) break;
  }
}

static struct open_state **bucket(struct keeper *k, uint64_t id)
{
  return k->buckets + id % KEEPER_BUCKETS;
}

static struct open_state *find(struct keeper *k, uint64_t id)
{
  struct open_state *o = *bucket(k, id);
  while (o && o->id != id) o = o->hash_next;
  return o;
}

static struct open_state *make(struct keeper *k, uint64_t id, char const *nonce)
{
  struct open_state *o = calloc(1, sizeof *o);
  if (!o) return 0;
  o->id = id;
  memcpy(o->nonce, nonce, QFILE_NONCE);
  o->seq = k->seq;
  o->since = clock_ms();
  o->hash_next = *bucket(k, id);
  *bucket(k, id) = o;
  o->prev = k->last;
  if (k->last) k->last->next = o;
  else k->first = o;
  return k->last = o;
}

static void drop(struct keeper *k, struct open_state *o)
{
  struct open_state **p = bucket(k, o->id);
  while (*p != o) p = &(*p)->hash_next;
  *p = o->hash_next;
  if (o->prev) o->prev->next = o->next;
  else k->first = o->next;
  if (o->next) o->next->prev = o->prev;
  else k->last = o->prev;
  stralloc_free(&o->lines);
  free(o);
}

int kstate_note(struct keeper *k, uint64_t id, char const *nonce, char const *payload, size_t len)
{
  struct open_state *o = find(k, id);
  if (!o) o = make(k, id, nonce);
  return o && stralloc_readyplus(&o->lines, len + 1) && stralloc_catb(&o->lines, payload, len) &&
         stralloc_append(&o->lines, '\n');
}

int kstate_open(struct keeper *k, uint64_t id)
{
  char name[QFILE_NAME_MAX];
  qfile_name(name, "state", k->split, id);
  return openat(k->queuefd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* Open the state file, an old one of another message, or a new one. */
static int open_for_writing(struct keeper *k, uint64_t id)
{
  char name[QFILE_NAME_MAX];
  char old[QFILE_NAME_MAX];
  int const flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  qfile_name(name, "state", k->split, id);
  int fd = openat(k->queuefd, name, flags);
  if (fd != -1 || errno != ENOENT) return fd;
  if (k->statepool) {
    pool_name(old, --k->statepool);
    if (renameat2(k->queuefd, old, k->queuefd, name, RENAME_NOREPLACE) == 0)
      return openat(k->queuefd, name, flags);
  }
  return openat(k->queuefd, name, flags | O_CREAT, STATE_MODE);
}

/* Where new lines go; 0 when the file is not this message's yet. -1 with errno. */
static int64_t find_end(int fd, char const *nonce)
{
  struct lines *l = malloc(sizeof *l);
  char const *s;
  size_t len;
  if (!l) return -1;
  int r = lines_open_own(l, fd, STATE_TITLE, nonce);
  int mine = r == 1;
  while (r == 1) r = lines_next(l, &s, &len);
  int64_t end = r == -1 ? -1 : mine ? (int64_t)l->good : 0;
  int e = errno;
  free(l);
  errno = e;
  return end;
}

/* Make file lines of the payloads, and note them in the journal. */
static int make_lines(struct keeper *k, struct open_state const *o, stralloc *out)
{
  for (size_t i = 0; i < o->lines.len;) {
    char const *s = o->lines.s + i;
    size_t len = (size_t)((char *)memchr(s, '\n', o->lines.len - i) - s);
    if (!lines_add(out, o->nonce, s, len) ||
        !journal_state(&k->journal, o->id, o->nonce, s, len))
      return 0;
    i += len + 1;
  }
  return 1;
}

static int write_open(struct keeper *k, struct open_state *o)
{
  stralloc out = STRALLOC_ZERO;
  int fd = open_for_writing(k, o->id);
  if (fd == -1) return 0;
  int64_t end = find_end(fd, o->nonce);
  int ok = end >= 0 && (end || lines_title(&out, STATE_TITLE, o->nonce)) &&
           make_lines(k, o, &out) && fileat_write(fd, out.s, out.len, (uint64_t)end);
  int e = errno;
  stralloc_free(&out);
  close(fd);
  errno = e;
  return ok;
}

int kstate_write(struct keeper *k, uint64_t id)
{
  struct open_state *o = find(k, id);
  if (!o) return 1;
  if (!write_open(k, o)) return 0;
  drop(k, o);
  return 1;
}

void kstate_flush(struct keeper *k, int all)
{
  uint64_t now = clock_ms();
  while (k->first && (all || now - k->first->since >= KEEPER_TICK)) {
    if (write_open(k, k->first)) {
      drop(k, k->first);
      continue;
    }
    char name[QFILE_NAME_MAX];
    qfile_name(name, "state", k->split, k->first->id);
    log_unable("write", name);
    return;
  }
}

void kstate_remove(struct keeper *k, uint64_t id)
{
  char name[QFILE_NAME_MAX];
  char old[QFILE_NAME_MAX];
  struct stat st;
  struct open_state *o = find(k, id);
  if (o) drop(k, o);
  qfile_name(name, "state", k->split, id);
  if (fstatat(k->queuefd, name, &st, AT_SYMLINK_NOFOLLOW) == -1) return;
  pool_name(old, k->statepool);
  if (k->statepool < KEEPER_STATEPOOL && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
      st.st_size <= KEEPER_STATESIZE &&
      renameat2(k->queuefd, name, k->queuefd, old, RENAME_NOREPLACE) == 0)
    k->statepool++;
  else if (unlinkat(k->queuefd, name, 0) == -1)
    log_unable("unlink", name);
}

void kstate_clean(struct keeper *k, unsigned int n)
{
  char name[QFILE_NAME_MAX];
  snprintf(name, sizeof name, "state/%u", n);
  int fd = openat(k->queuefd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd == -1 ? 0 : fdopendir(fd);
  if (!d) {
    log_unable("opendir", name);
    if (fd != -1) close(fd);
    return;
  }
  for (struct dirent *e; (e = readdir(d));) {
    uint64_t id;
    if (qfile_scan_id(e->d_name, &id) && id % k->split == n && kfile_is_gone(k, id))
      kstate_remove(k, id);
  }
  closedir(d);
}
