/* qread.c - print the queue: each message, and who it is for; qmail-qread's interface
 *
 * usage: pipit-qread [-s]
 *
 * -s, or called as qmail-qstat: only how many messages there are, as qmail-qstat does.
 *
 * Whoever may read queue/ can use it: root (as pipits), members of the group
 * pipits, in a single-account instance its owner.
 *
 * exit: 0 printed, 100 wrong usage or not permitted, 111 try later, or a
 * message could not be read (the others were printed).
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/buffer.h>
#include <skalibs/djbunix.h>
#include <skalibs/genalloc.h>
#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "../send/hold.h"
#include "../send/records.h"
#include "rewrite.h"
#include "../send/state.h"
#include "accounts.h"
#include "admin.h"
#include "control.h"
#include "home.h"
#include "priv.h"
#include "program.h"
#include "qfile.h"

#define USAGE  "pipit-qread [-s]"
#define MEMORY 268435456 /* bytes of address space: 8 per message, and one message's recipients */

struct found {
  uint64_t id;
  uint64_t place; /* its name in free/; 0: it lies in mess/ */
};

struct qread {
  int queue; /* descriptor of queue/ */
  unsigned int split;
  struct rewrite routes;
  struct holds holds;
  genalloc found; /* of struct found */
  stralloc out;  /* what is printed of the message at hand */
  stralloc sender;
  stralloc addr; /* one rewritten recipient */
  int trouble;   /* a message could not be read */
};

static void nomem(void) __attribute__((noreturn));
static void nomem(void)
{
  strerr_dief(EXIT_TEMPORARY, "out of memory");
}

static void check_permission(void)
{
  if (errno == EACCES || errno == EPERM)
    strerr_dief(EXIT_PERMANENT, "not permitted: the queue is shown to root and to the group ",
                account_name(ACCOUNT_SEND));
}

/* End the program: errno says why <what> could not be read. */
static void die(char const *what) __attribute__((noreturn));
static void die(char const *what)
{
  check_permission();
  strerr_diefusys(EXIT_TEMPORARY, "read ", home_dir(), "/queue/", what);
}

static void add(struct qread *q, char const *s)
{
  if (!stralloc_cats(&q->out, s)) nomem();
}

/* Append an address; what a terminal might take for more than text becomes '_'. */
static void add_address(struct qread *q, char const *s, size_t len)
{
  if (!stralloc_readyplus(&q->out, len)) nomem();
  for (size_t i = 0; i < len; i++)
    q->out.s[q->out.len++] = s[i] >= 32 && s[i] < 127 ? s[i] : '_';
}

/* errno says why this one file could not be read: the others may be readable. */
static void complain(struct qread *q, char const *name)
{
  check_permission();
  q->trouble = 1;
  strerr_warnwusys("read ", home_dir(), "/queue/", name);
}

/* Open a file below queue/. -1: there is none (any more), or it cannot be read. */
static int open_file(struct qread *q, char const *name)
{
  int fd = openat(q->queue, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd == -1 && errno != ENOENT) complain(q, name);
  return fd;
}

/* A message that lies in free/ under the name <place>, if it is one. */
static int find_in_pool(struct qread *q, uint64_t place, struct found *f)
{
  char name[QFILE_NAME_MAX];
  struct qfile m;
  qfile_free_name(name, place);
  int fd = open_file(q, name);
  if (fd == -1) return 0;
  int live = qfile_read(fd, &m) == 1 && m.state == QFILE_LIVE;
  fd_close(fd);
  *f = (struct found){ m.id, place };
  return live;
}

/* Note the messages in mess/<n> or, with <pool>, in free/. */
static void collect(struct qread *q, char const *name, int pool)
{
  int fd = openat(q->queue, name, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  DIR *dir = fd == -1 ? 0 : fdopendir(fd);
  if (!dir) die(name);
  for (;;) {
    uint64_t id;
    errno = 0;
    struct dirent const *d = readdir(dir);
    if (!d && errno) die(name);
    if (!d) break;
    if (!qfile_scan_id(d->d_name, &id)) continue;
    struct found f = { .id = id };
    if (pool && !find_in_pool(q, id, &f)) continue;
    if (!genalloc_append(struct found, &q->found, &f)) nomem();
  }
  closedir(dir);
}

/* free/ comes first: what is moved away from there meanwhile is seen in mess/. */
static void collect_all(struct qread *q)
{
  char name[QFILE_NAME_MAX];
  collect(q, "free", 1);
  for (unsigned int n = 0; n < q->split; n++) {
    snprintf(name, sizeof name, "mess/%u", n);
    collect(q, name, 0);
  }
}

static int by_age(void const *a, void const *b)
{
  struct found const *x = a;
  struct found const *y = b;
  return x->id < y->id ? -1 : x->id > y->id;
}

/* What was tried. Without a state file: nothing as yet. */
static void read_state(struct qread *q, struct qfile const *m, struct state *st)
{
  char name[QFILE_NAME_MAX];
  qfile_name(name, "state", q->split, m->id);
  int fd = open_file(q, name);
  if (fd == -1) return;
  if (state_read(st, fd, m->nonce, m->rcpts, 0) == -1) complain(q, name);
  fd_close(fd);
}

/* "21 Nov 2026 23:17:06 GMT  #ID  BYTES  <" */
static void add_title(struct qread *q, struct qfile const *m)
{
  static char const months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
  char title[160];
  struct tm tm = { .tm_year = 70, .tm_mday = 1 };
  time_t when = (time_t)(m->birth / 1000000);
  gmtime_r(&when, &tm);
  snprintf(title, sizeof title, "%d %s %d %02d:%02d:%02d GMT  #%llu  %llu  <", tm.tm_mday,
           months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
           (unsigned long long)m->id, (unsigned long long)m->msglen);
  add(q, title);
}

static void add_rcpt(struct qread *q, struct qfile const *m, char const *s, size_t len, int done)
{
  q->addr.len = 0;
  int channel = rewrite_address(&q->routes, s, len, &q->addr);
  if (channel == -1) nomem();
  if (done) add(q, "  done");
  else if (holds_rcpt(&q->holds, m->id, q->sender.s, q->sender.len, q->addr.s, q->addr.len))
    add(q, "  held");
  add(q, channel == CHANNEL_LOCAL ? "\tlocal\t" : "\tremote\t");
  add_address(q, q->addr.s, q->addr.len);
  add(q, "\n");
}

/* Describe the message in q->out. 1; 0 when it is gone, or not a message as yet. */
static int describe(struct qread *q, int fd, struct qfile const *m, struct state const *st)
{
  struct records e;
  char const *s;
  size_t len;
  char letter;
  uint32_t n = 0;
  int r;
  q->out.len = 0;
  add_title(q, m);
  records_open(&e, fd, m, 0);
  while ((r = records_next(&e, &letter, &s, &len)) == 1) {
    if (letter == 'F') {
      add_address(q, s, len);
      if (!stralloc_copyb(&q->sender, s, len)) nomem();
      add(q, st->failed ? ">  bouncing\n" : "> \n");
    } else if (letter == 'T') {
      add_rcpt(q, m, s, len, st->rcpts && n < st->count && st->rcpts[n].fate != STATE_OPEN);
      n++;
    }
  }
  return r == 0;
}

/* Is it the same message still? Finished files are used again. */
static int same(int fd, struct qfile const *m)
{
  struct qfile now;
  return qfile_read(fd, &now) == 1 && now.state == QFILE_LIVE && now.id == m->id &&
         !memcmp(now.nonce, m->nonce, QFILE_NONCE);
}

/* Open a message that is not finished, and read its header. -1: it is not there any more. */
static int open_message(struct qread *q, struct found const *f, struct qfile *m)
{
  char name[QFILE_NAME_MAX];
  qfile_place(name, q->split, f->id, f->place);
  int fd = open_file(q, name);
  if (fd == -1) return -1;
  int r = qfile_read(fd, m);
  if (r == -1) complain(q, name);
  if (r == 1 && m->state == QFILE_LIVE && m->id == f->id) return fd;
  fd_close(fd);
  return -1;
}

static void report(struct qread *q, struct found const *f)
{
  struct qfile m;
  struct state st = STATE_ZERO;
  int fd = open_message(q, f, &m);
  if (fd == -1) return;
  read_state(q, &m, &st);
  if (describe(q, fd, &m, &st) && same(fd, &m) &&
      buffer_put(buffer_1, q->out.s, q->out.len) == -1)
    strerr_diefusys(EXIT_TEMPORARY, "write to standard output");
  state_free(&st);
  fd_close(fd);
}

static void report_all(struct qread *q, struct found *found, size_t count)
{
  if (!rewrite_load(&q->routes)) strerr_dief(EXIT_TEMPORARY, control_why());
  if (count) qsort(found, count, sizeof *found, by_age);
  for (size_t i = 0; i < count; i++) report(q, found + i);
}

/* What qmail-qstat prints. Nothing is preprocessed here. */
static void report_count(struct qread *q, struct found const *found, size_t count)
{
  struct qfile m;
  char text[128];
  size_t messages = 0;
  for (size_t i = 0; i < count; i++) {
    int fd = open_message(q, found + i, &m);
    if (fd == -1) continue;
    messages++;
    fd_close(fd);
  }
  snprintf(text, sizeof text,
           "messages in queue: %zu\nmessages in queue but not yet preprocessed: 0\n", messages);
  if (buffer_puts(buffer_1, text) == -1)
    strerr_diefusys(EXIT_TEMPORARY, "write to standard output");
}

static void become(void)
{
  struct accounts a;
  if (geteuid()) return;
  if (!accounts_load(&a) || !accounts_become(&a, ACCOUNT_SEND))
    strerr_dief(EXIT_TEMPORARY, accounts_why());
}

static void open_queue(struct qread *q)
{
  if (home_fd() == -1) strerr_diefusys(EXIT_TEMPORARY, "open ", home_dir());
  q->queue = openat(home_fd(), "queue", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (q->queue == -1) die("");
  q->split = qfile_split(q->queue);
  if (!q->split) die("mess");
  if (!holds_read(&q->holds, q->queue)) die(HOLDS_NAME);
}

static int show(int counting)
{
  static struct qread q = { .routes = REWRITE_ZERO };
  if (!priv_limit_memory(MEMORY)) strerr_diefusys(EXIT_TEMPORARY, "limit the memory");
  become();
  open_queue(&q);
  collect_all(&q);
  struct found *found = genalloc_s(struct found, &q.found);
  if (counting) report_count(&q, found, genalloc_len(struct found, &q.found));
  else report_all(&q, found, genalloc_len(struct found, &q.found));
  if (!buffer_flush(buffer_1)) strerr_diefusys(EXIT_TEMPORARY, "write to standard output");
  return q.trouble ? EXIT_TEMPORARY : 0;
}

int qread_main(int argc, char const *const *argv)
{
  if (argc > 2 || (argc == 2 && strcmp(argv[1], "-s"))) strerr_dieusage(EXIT_PERMANENT, USAGE);
  return show(argc == 2);
}

int qstat_main(int argc, char const *const *argv)
{
  return argc == 1 ? show(1) : qread_main(argc, argv);
}
