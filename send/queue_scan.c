/* queue_scan.c - find mail: ids from the trigger, names in queue/mess; see send.h */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/uint64.h>

#include "clock.h"
#include "log.h"
#include "send.h"

#define TRIGGER_NAME  "lock/trigger"
#define OVERFLOW_NAME "lock/overflow"
#define TRIGGER_BATCH 512   /* messages read in one turn */
#define TRIGGER_ENTRY 16    /* bytes of one: id, name in free/ or 0 */
#define SLICE_NAMES   1000  /* names of a directory looked at in one turn */
#define SLICE_FILES   50    /* files opened in one turn */
#define SCAN_EVERY    60000 /* milliseconds from the end of a scan to the next one */
#define OVERFLOW_EVERY 5000 /* milliseconds between two looks for lock/overflow */

struct scan {
  DIR *dir;        /* that is being read, or NULL */
  unsigned int n;  /* its number */
  int running;
  int again;       /* another one is due after this one */
  int allowed;     /* the keeper has worked in its journal */
  int hurry;       /* ALRM came: what this scan finds is due now */
  uint64_t at;     /* clock_ms() of the next scan */
  uint64_t overflow_at;
};

/* A new writer each time would end the FIFO for us: we keep one open ourselves.
 * Everybody may write who can reach it: queue/lock is closed to others. */
int trigger_open(struct send *s)
{
  int made = mkfifoat(s->queuefd, TRIGGER_NAME, 0666) == 0;
  if (!made && errno != EEXIST) return 0;
  if (made && fchmodat(s->queuefd, TRIGGER_NAME, 0666, 0) == -1) return 0;
  int const flags = O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW;
  s->trigger = openat(s->queuefd, TRIGGER_NAME, O_RDONLY | flags);
  if (s->trigger == -1) return 0;
  s->trigger_writer = openat(s->queuefd, TRIGGER_NAME, O_WRONLY | flags);
  return s->trigger_writer != -1;
}

static void look_for_overflow(struct send *s)
{
  s->scan->overflow_at = clock_ms() + OVERFLOW_EVERY;
  if (unlinkat(s->queuefd, OVERFLOW_NAME, 0) == 0) scan_start(s);
  else if (errno != ENOENT) log_unable("unlink", OVERFLOW_NAME);
}

void trigger_read(struct send *s)
{
  char buf[TRIGGER_ENTRY * TRIGGER_BATCH];
  ssize_t n = read(s->trigger, buf, sizeof buf);
  for (ssize_t i = 0; i + TRIGGER_ENTRY <= n; i += TRIGGER_ENTRY) {
    uint64_t id, place;
    uint64_unpack_big(buf + i, &id);
    uint64_unpack_big(buf + i + 8, &place);
    message_new(s, id, place, 0);
  }
  if (n < (ssize_t)sizeof buf) look_for_overflow(s);
}

int scan_init(struct send *s)
{
  s->scan = calloc(1, sizeof *s->scan);
  return s->scan != 0;
}

void scan_hurry(struct send *s)
{
  s->scan->hurry = s->scan->running || !s->scan->allowed;
}

void scan_start(struct send *s)
{
  struct scan *c = s->scan;
  if (c->running) {
    c->again = 1;
    return;
  }
  c->allowed = 1;
  c->running = 1;
  c->again = 0;
  c->n = 0;
  keeper_say(&s->keeper, 'S', 0, 0, 0, "", 0);
}

/* When the first of the recipients that are left may be tried, in clock_ms(). */
static uint64_t first_due(struct state const *st)
{
  uint64_t now = clock_ms();
  int64_t wall = clock_wall();
  uint64_t due = 0;
  for (uint32_t i = 0; i < st->count; i++) {
    struct state_rcpt const *r = st->rcpts + i;
    if (r->fate != STATE_OPEN) continue;
    int64_t passed = wall > (int64_t)r->when ? wall - (int64_t)r->when : 0;
    uint64_t wait = !r->when || passed >= r->wait ? 0 : (uint64_t)(r->wait - passed) * 1000;
    if (!due || now + wait < due) due = now + wait;
  }
  return due ? due : now;
}

/* Mail that send does not know yet. */
static void found(struct send *s, struct qfile const *q)
{
  struct state st = STATE_ZERO;
  int r = message_state(s, q, &st);
  if (r == 1 && idset_add(&s->known, q->id) == 1)
    message_wait(s, q->id, 0, s->scan->hurry ? 0 : first_due(&st), WAIT_CHECK);
  else if (r == 0) message_new(s, q->id, 0, WAIT_CHECK);
  else if (r == -1) log_trouble("trouble reading state", q->id);
  state_free(&st);
}

/* One name. 1 when a file was opened for it. */
static int look(struct send *s, char const *name)
{
  char path[QFILE_NAME_MAX];
  struct qfile q;
  uint64_t id;
  int fd;
  if (!qfile_scan_id(name, &id) || idset_has(&s->known, id)) return 0;
  if ((size_t)snprintf(path, sizeof path, "mess/%u/%s", s->scan->n, name) >= sizeof path) return 0;
  enum look l = message_look(s, path, &fd, &q);
  if (l == LOOK_OK) close(fd);
  if (l == LOOK_OK && (q.id != id || s->scan->n != id % s->split)) l = LOOK_NOT_MAIL;
  if (l == LOOK_OK) found(s, &q);
  if (l == LOOK_NOT_MAIL) keeper_say(&s->keeper, 'V', id, 0, 0, path, strlen(path));
  return 1;
}

static DIR *open_next(struct send *s)
{
  char name[QFILE_NAME_MAX];
  snprintf(name, sizeof name, "mess/%u", s->scan->n);
  int fd = openat(s->queuefd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd == -1 ? 0 : fdopendir(fd);
  if (d) return d;
  log_unable("opendir", name);
  if (fd != -1) close(fd);
  return 0;
}

static void scan_end(struct send *s)
{
  struct scan *c = s->scan;
  c->running = c->hurry = 0;
  c->at = clock_ms() + SCAN_EVERY;
  if (c->again) scan_start(s);
}

/* Look at some names of the directory that is open. 0 at its end. */
static int slice(struct send *s)
{
  unsigned int files = 0;
  for (unsigned int i = 0; i < SLICE_NAMES && files < SLICE_FILES; i++) {
    struct dirent *e = readdir(s->scan->dir);
    if (!e) return 0;
    files += (unsigned int)look(s, e->d_name);
  }
  return 1;
}

void scan_turn(struct send *s)
{
  struct scan *c = s->scan;
  uint64_t now = clock_ms();
  if (!c->allowed || s->stopping) return;
  if (now >= c->overflow_at) look_for_overflow(s);
  if (!c->running && now >= c->at) scan_start(s);
  if (!c->running || keeper_backlog(&s->keeper) >= KEEPER_BACKLOG_MAX) return;
  if (!c->dir) c->dir = open_next(s);
  if (c->dir && slice(s)) return;
  if (c->dir) closedir(c->dir);
  c->dir = 0;
  if (++c->n >= s->split) scan_end(s);
}

int scan_allowed(struct send const *s)
{
  return s->scan->allowed;
}

uint64_t scan_wait(struct send const *s)
{
  struct scan const *c = s->scan;
  uint64_t now = clock_ms();
  uint64_t at = c->at < c->overflow_at ? c->at : c->overflow_at;
  if (!c->allowed) return OVERFLOW_EVERY;
  return c->running || now >= at ? 0 : at - now;
}
