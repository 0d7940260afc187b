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
#include "freelist.h"
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
  return (errno = e, 0);
}

static int open_file(struct keeper *k, char const *path)
{
  return openat(k->queuefd, path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static int open_at(struct keeper *k, struct kfile *f, uint64_t id, uint64_t place,
                   char const *nonce)
{
  f->place = place;
  qfile_place(f->path, k->split, id, place);
  f->fd = open_file(k, f->path);
  if (f->fd == -1) return 0;
  if (!lock(f->fd)) return fail_close(f->fd, errno);
  int r = qfile_read(f->fd, &f->q);
  if (r == -1) return fail_close(f->fd, errno);
  if (!r || f->q.state != QFILE_LIVE || f->q.id != id || memcmp(f->q.nonce, nonce, QFILE_NONCE))
    return fail_close(f->fd, ENOENT);
  return 1;
}

int kfile_open(struct keeper *k, struct kfile *f, uint64_t id, uint64_t place, char const *nonce)
{
  if (open_at(k, f, id, place, nonce)) return 1;
  return place && errno == ENOENT && open_at(k, f, id, 0, nonce);
}

/* A finished file that lies in the pool already stays there, unless it or the
 * pool has grown too large. 1 it stays, 0 it was removed, -1 with errno. */
static int pool_keep(struct keeper *k, struct kfile const *f, struct stat const *st)
{
  uint64_t bytes = (uint64_t)st->st_size;
  if (st->st_nlink == 1 && bytes <= POOL_FILE_MAX && k->pool.files <= k->pool.files_max &&
      k->pool.bytes <= k->pool.bytes_max)
    return 1;
  if (unlinkat(k->queuefd, f->path, 0) == -1 && errno != ENOENT) return -1;
  if (k->pool.files) k->pool.files--;
  k->pool.bytes -= bytes < k->pool.bytes ? bytes : k->pool.bytes;
  return 0;
}

/* Put a finished, locked file of mess/ into the pool, as <name>, or remove it.
 * 1 it is there, 0 it was removed, -1 with errno. */
static int pool_put(struct keeper *k, struct stat const *st, char const *path, uint64_t name)
{
  char to[QFILE_NAME_MAX];
  uint64_t bytes = (uint64_t)st->st_size;
  if (!pool_room(&k->pool, bytes) && bytes <= POOL_FILE_MAX &&
      clock_ms() - k->pool.counted > POOL_RECOUNT)
    kfile_scan_pool(k);
  qfile_free_name(to, name);
  if (st->st_nlink == 1 && pool_room(&k->pool, bytes) &&
      renameat2(k->queuefd, path, k->queuefd, to, RENAME_NOREPLACE) == 0) {
    k->pool.files++;
    k->pool.bytes += bytes;
    return 1;
  }
  return unlinkat(k->queuefd, path, 0) == 0 || errno == ENOENT ? 0 : -1;
}

/* Tell queued of a file in the pool, which nobody here has open any more. One
 * that a full list does not take is seen by the next look at free/. */
static void list(struct keeper *k, uint64_t name)
{
  if (k->list != -1) freelist_put(k->list, name);
}

/* Mark the file and put it into the pool; of one that a backup has under another
 * name only ours goes, and no byte of it changes. Results as pool_put. */
static int finish(struct keeper *k, struct kfile const *f, uint64_t id)
{
  struct stat st;
  if (fstat(f->fd, &st) == -1) return -1;
  if (st.st_nlink == 1 && !qfile_mark(f->fd, QFILE_DONE)) return -1;
  return f->place ? pool_keep(k, f, &st) : pool_put(k, &st, f->path, id);
}

int kfile_end(struct keeper *k, uint64_t id, uint64_t place, char const *nonce)
{
  struct kfile f;
  if (!journal_ended(&k->journal, id, nonce)) return 0;
  if (!kfile_open(k, &f, id, place, nonce)) return errno == ENOENT;
  int r = finish(k, &f, id);
  int e = errno;
  close(f.fd);
  if (r == 1) list(k, f.place ? f.place : id);
  errno = e;
  return r != -1;
}

static void bad_name(char out[QFILE_NAME_MAX], uint64_t id)
{
  snprintf(out, QFILE_NAME_MAX, "bad/%llu", (unsigned long long)id);
}

static int is_missing(struct keeper *k, char const *name)
{
  return faccessat(k->queuefd, name, F_OK, 0) == -1 && errno == ENOENT;
}

int kfile_is_gone(struct keeper *k, uint64_t id)
{
  char mess[QFILE_NAME_MAX], bad[QFILE_NAME_MAX];
  qfile_name(mess, "mess", k->split, id);
  bad_name(bad, id);
  return is_missing(k, mess) && is_missing(k, bad);
}

void kfile_bad(struct keeper *k, char const *path, uint64_t id, char const *why)
{
  char name[QFILE_NAME_MAX];
  struct logline l = LOGLINE_ZERO;
  bad_name(name, id);
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

static void remove_name(struct keeper *k, char const *path)
{
  if (unlinkat(k->queuefd, path, 0) == -1 && errno != ENOENT) log_unable("unlink", path);
}

/* Does this message stand whole in mess/ already? In a copy of a queue that was
 * made while the message was moved there. */
static int is_in_mess(struct keeper *k, struct qfile const *q)
{
  struct kfile f;
  if (!kfile_open(k, &f, q->id, 0, q->nonce)) return 0;
  int r = qfile_check_body(f.fd, &f.q) == 1;
  close(f.fd);
  return r;
}

/* A live message: give it its right name. 1 it has it, 0 it has not. */
static int adopt(struct keeper *k, char const *path, struct qfile const *q)
{
  char name[QFILE_NAME_MAX];
  qfile_name(name, "mess", k->split, q->id);
  if (!strcmp(name, path)) return 1;
  if (renameat2(k->queuefd, path, k->queuefd, name, RENAME_NOREPLACE) == 0) return 1;
  if (errno != EEXIST) log_unable("rename", path);
  else if (is_in_mess(k, q)) remove_name(k, path);
  else kfile_bad(k, path, q->id, "two messages with one id");
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
  if (memcmp(head, zeros, sizeof zeros) && state != QFILE_DONE && state != QFILE_BUSY)
    kfile_bad(k, path, id, "the header does not hold");
  else if (unlinkat(k->queuefd, path, 0) == -1)
    log_unable("unlink", path);
}

static int in_pool(char const *path)
{
  return !strncmp(path, "free/", 5);
}

/* Judge a locked file. Results as kfile_look. */
static int judge(struct keeper *k, int fd, struct stat const *st, char const *path, uint64_t *id)
{
  struct qfile q;
  uint64_t named = 0;
  char const *slash = strrchr(path, '/');
  int r = qfile_read(fd, &q);
  if (!slash || !qfile_scan_id(slash + 1, &named) || r == -1) return 0;
  if (!r) return (no_header(k, fd, path, named), 0);
  if (q.state == QFILE_LIVE && is_finished(k, &q)) {
    if (st->st_nlink != 1) return (remove_name(k, path), 0);
    if (qfile_mark(fd, QFILE_DONE)) q.state = QFILE_DONE;
  }
  if (q.state == QFILE_LIVE) {
    *id = q.id;
    return adopt(k, path, &q);
  }
  /* Busy: its writer was killed, or we would not have the lock; nobody was told that it is mail. */
  if (q.state == QFILE_BUSY) return (remove_name(k, path), 0);
  if (q.state != QFILE_DONE) return (no_header(k, fd, path, named), 0);
  *id = named;
  if (in_pool(path)) return 2;
  kstate_remove(k, named); /* a keeper was killed before it could */
  return pool_put(k, st, path, named) == 1 ? 2 : 0;
}

int kfile_look(struct keeper *k, char const *path, uint64_t *id)
{
  struct stat st;
  int r = 0;
  int fd = open_file(k, path);
  if (fd == -1) return 0;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && lock(fd)) r = judge(k, fd, &st, path, id);
  close(fd);
  if (r == 2 && !in_pool(path)) list(k, *id);
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
  if (r == 1 && k->worked_in) keeper_answer(k, 'N', id, 0);
  if (fstatat(k->queuefd, path, &st, AT_SYMLINK_NOFOLLOW) == -1) return;
  if (r == 2 && !pool_room(&k->pool, (uint64_t)st.st_size)) {
    pool_drop(k, path);
    return;
  }
  if (r == 2) list(k, id);
  k->pool.files++;
  k->pool.bytes += (uint64_t)st.st_size;
}

/* What stands on the list is put there again as the files are seen. */
static void begin_list(struct keeper *k)
{
  uint64_t name;
  if (k->list == -1 && (k->list = freelist_open(k->queuefd)) == -1) {
    log_unable("open", FREELIST_NAME);
    return;
  }
  freelist_grow(k->list, k->pool.files_max);
  for (uint64_t n = freelist_count(k->list); n; n--)
    if (!freelist_take(k->list, &name)) return;
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
  begin_list(k);
  for (struct dirent *e; (e = readdir(d));) count_one(k, e->d_name);
  closedir(d);
  k->pool.counted = clock_ms();
}
