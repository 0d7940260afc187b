/* pool.c - the ring of free files, and the filler; see pool.h */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>
#include <skalibs/random.h>

#include "clock.h"
#include "fileat.h"
#include "ids.h"
#include "newfile.h"
#include "pool.h"
#include "qfile.h"

#define SEEN_MAX      4096 /* files of free/ that the filler looks at */
#define PAUSE_MS      10   /* between two looks */
#define FORGET_SECONDS 60  /* then files that nobody could use are offered again */

struct pool {
  _Atomic uint64_t head; /* the next one to take out */
  _Atomic uint64_t tail; /* the next place to put one in; only the filler changes it */
  _Atomic int called;    /* the filler was called and has not looked yet */
  _Atomic int disabled;
  int event;             /* an eventfd: the call */
  _Atomic uint64_t ring[POOL_RING];
};

struct pool *pool_new(void)
{
  struct pool *p = mmap(0, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return 0;
  p->event = eventfd(0, EFD_CLOEXEC);
  return p->event == -1 ? 0 : p;
}

static void call_filler(struct pool *p)
{
  static uint64_t const one = 1;
  if (atomic_load(&p->called) || atomic_exchange(&p->called, 1)) return;
  (void)!fd_write(p->event, (char const *)&one, sizeof one);
}

int pool_take(struct pool *p, uint64_t *id)
{
  uint64_t head = atomic_load(&p->head);
  if (atomic_load(&p->disabled)) return 0;
  for (;;) {
    uint64_t tail = atomic_load(&p->tail);
    if (tail - head < POOL_LOW) call_filler(p);
    if (head == tail) return 0;
    *id = atomic_load(&p->ring[head % POOL_RING]);
    if (atomic_compare_exchange_weak(&p->head, &head, head + 1)) return 1;
  }
}

void pool_disable(struct pool *p)
{
  atomic_store(&p->disabled, 1);
}

static uint64_t count(struct pool *p)
{
  return atomic_load(&p->tail) - atomic_load(&p->head);
}

/* Only the filler calls this. 1, or 0 when the ring is full. */
static int put(struct pool *p, uint64_t id)
{
  uint64_t tail = atomic_load(&p->tail);
  if (count(p) >= POOL_RING) return 0;
  atomic_store(&p->ring[tail % POOL_RING], id);
  atomic_store(&p->tail, tail + 1);
  return 1;
}

static void clear(struct pool *p)
{
  atomic_store(&p->head, atomic_load(&p->tail));
}

/* What the filler knows: files in free/, and which of them it has put in the
 * ring. A file that was put in, is still there and is not in the ring could
 * not be used by the one who took its id out. */
struct filler {
  struct queue const *q;
  size_t nseen;
  uint64_t seen[SEEN_MAX]; /* sorted */
  uint64_t files;          /* in free/ */
  uint64_t bytes;
  int troubled;            /* the last attempt failed, and was reported */
};

static int compare(void const *a, void const *b)
{
  uint64_t const *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

static int is_seen(struct filler const *f, uint64_t id)
{
  return bsearch(&id, f->seen, f->nseen, sizeof id, compare) != 0;
}

/* Could this entry of free/ be used? Also adds it to the sums. */
static int look_at(struct filler *f, int dir, char const *name)
{
  struct stat st;
  if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1 || !S_ISREG(st.st_mode)) return 0;
  f->files++;
  f->bytes += (uint64_t)st.st_size;
  return st.st_uid == f->q->owner && st.st_nlink == 1;
}

/* Look through free/, and put what is new there into the ring. 1, or 0 with errno. */
static int look(struct filler *f)
{
  static uint64_t now[SEEN_MAX];
  size_t n = 0;
  DIR *d;
  int fd = openat(f->q->dir, "free", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd == -1) return 0;
  if (!(d = fdopendir(fd))) return (fd_close(fd), 0);
  f->files = f->bytes = 0;
  for (struct dirent *e; n < SEEN_MAX && (e = readdir(d));) {
    uint64_t id;
    if (!qfile_scan_id(e->d_name, &id)) continue;
    if (look_at(f, fd, e->d_name) && (is_seen(f, id) || put(f->q->pool, id))) now[n++] = id;
  }
  closedir(d);
  memcpy(f->seen, now, n * sizeof *now);
  f->nseen = n;
  qsort(f->seen, n, sizeof *now, compare);
  return 1;
}

/* Write a finished file of nothing but zeros. 1, or 0 with errno. */
static int make_file(struct newfile *new, struct queue const *q, uint64_t id)
{
  static char image[POOL_FILE_SIZE];
  struct qfile f = { .state = QFILE_DONE, .id = id, .birth = id, .uid = (uint32_t)q->owner };
  random_buf(f.nonce, sizeof f.nonce);
  f.sum = qfile_sum_start(f.nonce);
  qfile_pack(image, &f);
  if (!newfile_open(new, q, "free", id)) return 0;
  if (!fileat_write(new->fd, image, sizeof image, 0)) return 0;
  sync_file_range(new->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* all start before the first is awaited */
  return 1;
}

/* Give the files names, and make those durable with one sync of the directory
 * for all: what is in the files only becomes mail by a writer's own fdatasync,
 * but a name that a power cut takes away would take the mail with it. Waiting
 * for the blocks to be written lets that fdatasync find them allocated. The
 * files stay open and locked, so that nobody takes one too early. */
static int make_durable(struct queue const *q, struct newfile *new, uint64_t const *ids, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    char name[QFILE_NAME_MAX];
    sync_file_range(new[i].fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER);
    qfile_free_name(name, ids[i]);
    if (!newfile_link(&new[i], q, name)) return 0;
  }
  return newfile_sync_dir(q, "free");
}

static void unlink_free(struct queue const *q, uint64_t id)
{
  char name[QFILE_NAME_MAX];
  qfile_free_name(name, id);
  unlinkat(q->dir, name, 0);
}

/* Make <n> files. 1, or 0 with errno. */
static int make(struct filler *f, size_t n)
{
  struct newfile new[POOL_BATCH];
  uint64_t ids[POOL_BATCH];
  size_t made = 0;
  int ok = 1;
  for (; made < n && ok; made++) {
    ids[made] = ids_next(f->q);
    ok = make_file(&new[made], f->q, ids[made]);
  }
  if (ok) ok = make_durable(f->q, new, ids, n);
  int e = errno;
  for (size_t i = 0; i < made; i++) {
    if (!ok) unlink_free(f->q, ids[i]);
    newfile_close(&new[i], f->q);
  }
  errno = e;
  return ok;
}

/* How many files may be made now? */
static size_t wanted(struct filler const *f)
{
  struct settings const *s = &f->q->settings;
  size_t n = POOL_BATCH;
  if (count(f->q->pool) >= POOL_BATCH || f->files >= s->pool_files || f->bytes >= s->pool_bytes)
    return 0;
  if (n > s->pool_files - f->files) n = s->pool_files - f->files;
  if (n > (s->pool_bytes - f->bytes) / POOL_FILE_SIZE)
    n = (s->pool_bytes - f->bytes) / POOL_FILE_SIZE;
  return n && queue_room(f->q, n * POOL_FILE_SIZE) ? n : 0;
}

/* 1, or 0 with errno. */
static int fill(struct filler *f)
{
  if (!look(f)) return 0;
  size_t n = atomic_load(&f->q->pool->disabled) ? 0 : wanted(f);
  return !n || (make(f, n) && look(f));
}

void pool_fill(struct queue const *q)
{
  static struct filler f;
  struct timespec const pause = { .tv_nsec = PAUSE_MS * 1000000L };
  uint64_t calls;
  uint64_t forget = 0;
  f.q = q;
  /* A filler that was killed may have left names that are not on disk. */
  while (!newfile_sync_dir(q, "free")) {
    queue_alert("cannot sync queue/free");
    sleep(FORGET_SECONDS);
  }
  for (;;) {
    uint64_t now = clock_ms();
    if (now >= forget) {
      clear(q->pool);
      f.nseen = 0;
      forget = now + FORGET_SECONDS * 1000;
    }
    atomic_store(&q->pool->called, 0);
    int ok = fill(&f);
    if (!ok && !f.troubled) queue_warning("cannot fill queue/free");
    f.troubled = !ok;
    nanosleep(&pause, 0);
    if (fd_read(q->pool->event, (char *)&calls, sizeof calls) == -1) _exit(111);
  }
}
