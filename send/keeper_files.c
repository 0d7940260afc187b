/* keeper_files.c - the keeper's work on message files; see keeper.h */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/uint32.h>

#include "clock.h"
#include "keeper.h"
#include "log.h"
#include "logline.h"

#define OLD_SECONDS 60   /* a file without a header is let alone so long */
#define LOCK_TRIES  20   /* send locks a file for a moment to look at it */
#define LOCK_NAP    1000000 /* nanoseconds between two tries */

static int lock(int fd)
{
  struct timespec nap = { .tv_nsec = LOCK_NAP };
  for (int i = 0;; i++) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 1;
    if (errno != EINTR && (errno != EWOULDBLOCK || i >= LOCK_TRIES)) return 0;
    nanosleep(&nap, 0);
  }
}

static int fail_close(int fd, int e)
{
  close(fd);
  return (errno = e, -1);
}

static int open_file(struct keeper *k, char const *path)
{
  return openat(k->queuefd, path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

int kfile_open(struct keeper *k, uint64_t id, char const *nonce, struct qfile *q)
{
  char name[QFILE_NAME_MAX];
  qfile_name(name, "mess", k->split, id);
  int fd = open_file(k, name);
  if (fd == -1) return -1;
  if (!lock(fd)) return fail_close(fd, errno);
  int r = qfile_read(fd, q);
  if (r == -1) return fail_close(fd, errno);
  if (!r || q->state != QFILE_LIVE || q->id != id || memcmp(q->nonce, nonce, QFILE_NONCE))
    return fail_close(fd, ENOENT);
  return fd;
}

/* Put a finished, locked file into the pool, or remove it. 1, or 0 with errno. */
static int pool_put(struct keeper *k, int fd, char const *path, uint64_t id)
{
  char name[QFILE_NAME_MAX];
  struct stat st;
  if (fstat(fd, &st) == -1) return 0;
  uint64_t bytes = (uint64_t)st.st_size;
  if (!pool_room(&k->pool, bytes) && bytes <= POOL_FILE_MAX &&
      clock_ms() - k->pool.counted > POOL_RECOUNT)
    kfile_scan_pool(k);
  qfile_free_name(name, id);
  if (st.st_nlink == 1 && pool_room(&k->pool, bytes) &&
      renameat2(k->queuefd, path, k->queuefd, name, RENAME_NOREPLACE) == 0) {
    k->pool.files++;
    k->pool.bytes += bytes;
    return 1;
  }
  return unlinkat(k->queuefd, path, 0) == 0 || errno == ENOENT;
}

int kfile_end(struct keeper *k, uint64_t id, char const *nonce)
{
  char name[QFILE_NAME_MAX];
  struct qfile q;
  if (!journal_ended(&k->journal, id, nonce)) return 0;
  int fd = kfile_open(k, id, nonce, &q);
  if (fd == -1) return errno == ENOENT;
  qfile_name(name, "mess", k->split, id);
  int ok = qfile_mark_done(fd) && pool_put(k, fd, name, id);
  int e = errno;
  close(fd);
  errno = e;
  return ok;
}

void kfile_bad(struct keeper *k, char const *path, uint64_t id, char const *why)
{
  char name[QFILE_NAME_MAX];
  struct logline l = LOGLINE_ZERO;
  snprintf(name, sizeof name, "bad/%llu", (unsigned long long)id);
  if (renameat2(k->queuefd, path, k->queuefd, name, RENAME_NOREPLACE) == -1) {
    log_alert_unable("set aside the damaged message", path);
    return;
  }
  logline_text(&l, "alert: damaged message set aside");
  logline_keyn(&l, "id", id);
  logline_key(&l, "file", name);
  logline_key(&l, "error", why);
  logline_write(&l);
}

static int compare(void const *a, void const *b)
{
  struct finished const *x = a;
  struct finished const *y = b;
  return (x->id > y->id) - (x->id < y->id);
}

/* Does the journal call it finished? Entries of one id have one nonce. */
static int is_finished(struct keeper *k, struct qfile const *q)
{
  struct finished key = { .id = q->id };
  struct finished *f = k->nfinished ? bsearch(&key, k->finished, k->nfinished, sizeof key, compare)
                                    : 0;
  return f && !memcmp(f->nonce, q->nonce, QFILE_NONCE);
}

/* A live message: give it its right name. 1 it has it, 0 it has not. */
static int adopt(struct keeper *k, char const *path, uint64_t id)
{
  char name[QFILE_NAME_MAX];
  qfile_name(name, "mess", k->split, id);
  if (!strcmp(name, path)) return 1;
  if (renameat2(k->queuefd, path, k->queuefd, name, RENAME_NOREPLACE) == 0) return 1;
  if (errno == EEXIST) kfile_bad(k, path, id, "two messages with one id");
  else log_unable("rename", path);
  return 0;
}

/* A file whose header does not hold: one that was cut off while it was made is
 * removed; one that looks like a message once is kept in bad/. */
static void no_header(struct keeper *k, int fd, char const *path, uint64_t id)
{
  static char const zeros[QFILE_STATE_AT];
  char head[QFILE_STATE_AT + 4] = { 0 };
  struct stat st;
  uint32_t state;
  if (fstat(fd, &st) == -1 || pread(fd, head, sizeof head, 0) == -1) return;
  uint32_unpack_big(head + QFILE_STATE_AT, &state);
  int64_t age = clock_wall() - (int64_t)st.st_mtime;
  if (age >= 0 && age < OLD_SECONDS) return;
  if (memcmp(head, zeros, sizeof zeros) && state != QFILE_DONE)
    kfile_bad(k, path, id, "the header does not hold");
  else if (unlinkat(k->queuefd, path, 0) == -1)
    log_unable("unlink", path);
}

/* Judge a locked file. Results as kfile_look. */
static int judge(struct keeper *k, int fd, char const *path, uint64_t *id)
{
  struct qfile q;
  uint64_t named = 0;
  char const *slash = strrchr(path, '/');
  int in_pool = !strncmp(path, "free/", 5);
  int r = qfile_read(fd, &q);
  if (!slash || !qfile_scan_id(slash + 1, &named) || r == -1) return 0;
  if (!r) return (no_header(k, fd, path, named), 0);
  if (q.state == QFILE_LIVE && is_finished(k, &q) && qfile_mark_done(fd)) q.state = QFILE_DONE;
  if (q.state == QFILE_LIVE) {
    *id = q.id;
    return adopt(k, path, q.id);
  }
  if (q.state != QFILE_DONE) return (no_header(k, fd, path, named), 0);
  /* Its writer was killed: it keeps the id of its name, by which queued knows that there may be
   * more in it than its header says. */
  if (!in_pool) return pool_put(k, fd, path, named) ? 2 : 0;
  return 2;
}

int kfile_look(struct keeper *k, char const *path, uint64_t *id)
{
  struct stat st;
  int r = 0;
  int fd = open_file(k, path);
  if (fd == -1) return 0;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && lock(fd)) r = judge(k, fd, path, id);
  close(fd);
  return r;
}

/* Remove a finished file that the pool has no room for. */
static void pool_drop(struct keeper *k, char const *path)
{
  int fd = open_file(k, path);
  struct qfile q;
  if (fd == -1) return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 && qfile_read(fd, &q) == 1 && q.state == QFILE_DONE)
    unlinkat(k->queuefd, path, 0);
  close(fd);
}

static void count_one(struct keeper *k, char const *name)
{
  char path[QFILE_NAME_MAX];
  struct stat st;
  uint64_t id;
  if (!qfile_scan_id(name, &id)) return;
  qfile_free_name(path, id);
  int r = kfile_look(k, path, &id);
  if (r == 1) keeper_answer(k, 'N', id, 0);
  if (fstatat(k->queuefd, path, &st, AT_SYMLINK_NOFOLLOW) == -1) return;
  if (r == 2 && !pool_room(&k->pool, (uint64_t)st.st_size)) {
    pool_drop(k, path);
    return;
  }
  k->pool.files++;
  k->pool.bytes += (uint64_t)st.st_size;
}

void kfile_scan_pool(struct keeper *k)
{
  int fd = openat(k->queuefd, "free", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd == -1 ? 0 : fdopendir(fd);
  if (!d) {
    log_unable("opendir", "free");
    if (fd != -1) close(fd);
    return;
  }
  k->pool.files = k->pool.bytes = 0;
  for (struct dirent *e; (e = readdir(d));) count_one(k, e->d_name);
  closedir(d);
  k->pool.counted = clock_ms();
}
