/* pool.c - take free files, and the filler, which makes them; see pool.h */

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
#include "freelist.h"
#include "ids.h"
#include "newfile.h"
#include "pool.h"
#include "qfile.h"

#define PAUSE_MS      10 /* between two batches */
#define TROUBLE_MS    1000 /* after a batch that could not be made */
#define LOOK_SECONDS  60 /* between two looks for files that are on no list */
#define COUNT_EVERY   8  /* files taken between two looks at how many are left */

struct pool {
  int list;            /* freelist.h */
  int event;           /* an eventfd: the call */
  _Atomic int called;  /* the filler was called and has not looked yet */
  _Atomic int disabled;
};

struct pool *pool_new(int queuefd, uint64_t files)
{
  struct pool *p = mmap(0, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return 0;
  p->event = eventfd(0, EFD_CLOEXEC);
  p->list = freelist_open(queuefd);
  if (p->event == -1 || p->list == -1) return 0;
  freelist_grow(p->list, files);
  return p;
}

static void call_filler(struct pool *p)
{
  static uint64_t const one = 1;
  if (atomic_load(&p->called) || atomic_exchange(&p->called, 1)) return;
  (void)!fd_write(p->event, (char const *)&one, sizeof one);
}

int pool_take(struct pool *p, uint64_t *name)
{
  static unsigned int taken; /* by this process */
  if (atomic_load(&p->disabled)) return 0;
  int r = freelist_take(p->list, name);
  if (!r || (taken++ % COUNT_EVERY == 0 && freelist_count(p->list) < POOL_LOW)) call_filler(p);
  return r;
}

void pool_give_back(struct pool *p, uint64_t name)
{
  freelist_put(p->list, name);
}

void pool_disable(struct pool *p)
{
  atomic_store(&p->disabled, 1);
}

struct filler {
  struct queue const *q;
  uint64_t files; /* in free/ */
  uint64_t bytes;
  uint64_t look;  /* clock_ms() of the next look for files that are on no list */
  int troubled;   /* the last attempt failed, and was reported */
};

/* Add an entry of free/ to the sums, and put it on the list if that is <wanted> and it may be used. */
static void look_at(struct filler *f, int dir, char const *name, int wanted)
{
  struct stat st;
  uint64_t id;
  if (!qfile_scan_id(name, &id) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
      !S_ISREG(st.st_mode))
    return;
  f->files++;
  f->bytes += (uint64_t)st.st_size;
  if (wanted && st.st_uid == f->q->owner && st.st_nlink == 1) freelist_put(f->q->pool->list, id);
}

/* Look through free/. What no list has any more, because both queued and send
 * were away, is put on it again. 1, or 0 with errno. */
static int look(struct filler *f)
{
  uint64_t now = clock_ms();
  int wanted = now >= f->look && !freelist_count(f->q->pool->list);
  DIR *d;
  int fd = openat(f->q->dir, "free", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd == -1) return 0;
  if (!(d = fdopendir(fd))) return (fd_close(fd), 0);
  f->files = f->bytes = 0;
  if (wanted) f->look = now + LOOK_SECONDS * 1000;
  for (struct dirent *e; (e = readdir(d));) look_at(f, fd, e->d_name, wanted);
  closedir(d);
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

/* Make <n> files and put them on the list. 1, or 0 with errno. */
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
    if (ok) freelist_put(f->q->pool->list, ids[i]);
  }
  errno = e;
  return ok;
}

/* How many files may be made now? */
static size_t wanted(struct filler const *f)
{
  struct settings const *s = &f->q->settings;
  size_t n = POOL_BATCH;
  if (freelist_count(f->q->pool->list) >= POOL_BATCH || f->files >= s->pool_files ||
      f->bytes >= s->pool_bytes)
    return 0;
  if (n > s->pool_files - f->files) n = s->pool_files - f->files;
  if (n > (s->pool_bytes - f->bytes) / POOL_FILE_SIZE)
    n = (s->pool_bytes - f->bytes) / POOL_FILE_SIZE;
  return n && queue_room(f->q, n * POOL_FILE_SIZE) ? n : 0;
}

/* 1, or 0 with errno. */
static int fill(struct filler *f)
{
  if (atomic_load(&f->q->pool->disabled) || freelist_count(f->q->pool->list) >= POOL_BATCH) return 1;
  if (!look(f)) return 0;
  size_t n = wanted(f);
  return !n || make(f, n);
}

void pool_fill(struct queue const *q)
{
  struct filler f = { .q = q };
  uint64_t calls;
  /* A filler that was killed may have left names that are not on disk. */
  while (!newfile_sync_dir(q, "free")) {
    queue_alert("cannot sync queue/free");
    sleep(LOOK_SECONDS);
  }
  for (;;) {
    atomic_store(&q->pool->called, 0);
    int ok = fill(&f);
    if (!ok && !f.troubled) queue_warning("cannot fill queue/free");
    f.troubled = !ok;
    clock_nap(ok ? PAUSE_MS : TROUBLE_MS);
    if (fd_read(q->pool->event, (char *)&calls, sizeof calls) == -1) _exit(111);
  }
}
