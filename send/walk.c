/* walk.c - find the messages on disk that a command means; see walk.h
 *
 * What is found is a hint: whoever acts on it opens the message anew.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "records.h"
#include "send.h"
#include "walk.h"

struct walk {
  struct selector sel;
  char value[SELECTOR_MAX];
  int held;
  unsigned int dir; /* 0: free/, n + 1: mess/<n> */
  DIR *open;
  unsigned int names, files, records; /* what is left of the slice */
  unsigned int trouble;
  struct idset seen; /* found in free/ */
  int fd;            /* the message that is being read, or -1 */
  struct qfile q;
  uint64_t place;
  struct state state;
  stralloc sender, addr;
  uint32_t index; /* of the next recipient */
  struct records envelope;
};

struct walk *walk_begin(struct selector const *sel, int held)
{
  struct walk *w = calloc(1, sizeof *w);
  if (!w) return 0;
  w->sel = *sel;
  w->sel.value = w->value;
  memcpy(w->value, sel->value, sel->len);
  w->held = held;
  w->fd = -1;
  return w;
}

static void close_message(struct walk *w)
{
  if (w->fd != -1) close(w->fd);
  w->fd = -1;
  state_free(&w->state);
}

void walk_free(struct walk *w)
{
  close_message(w);
  if (w->open) closedir(w->open);
  free(w->seen.slots);
  stralloc_free(&w->sender);
  stralloc_free(&w->addr);
  free(w);
}

void walk_slice(struct walk *w)
{
  w->names = WALK_NAMES;
  w->files = WALK_FILES;
  w->records = WALK_RECORDS;
}

unsigned int walk_trouble(struct walk const *w)
{
  return w->trouble;
}

static void trouble(struct walk *w, char const *name)
{
  log_unable("read", name);
  w->trouble++;
}

/* Open the message at <path>, if it is one that may be meant. */
static void open_message(struct walk *w, struct send const *s, char const *path, uint64_t name)
{
  w->files--;
  w->fd = openat(s->queuefd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (w->fd == -1) {
    if (errno != ENOENT && errno != ELOOP) trouble(w, path);
    return;
  }
  int r = qfile_read(w->fd, &w->q);
  if (r == -1) trouble(w, path);
  w->place = w->dir ? 0 : name;
  int mine = r == 1 && w->q.state == QFILE_LIVE && (w->place || w->q.id == name) &&
             (w->sel.kind != SELECTOR_ID || w->q.id == w->sel.id);
  if (mine && w->place) mine = idset_add(&w->seen, w->q.id) != 0;
  else if (mine) mine = !idset_has(&w->seen, w->q.id);
  if (mine && message_state(s, &w->q, &w->state) == -1) {
    trouble(w, path);
    mine = 0;
  }
  if (!mine) {
    close_message(w);
    return;
  }
  w->index = 0;
  records_open(&w->envelope, w->fd, &w->q, 0);
}

/* 1, 0, or -1 with ENOMEM. */
static int is_meant(struct walk *w, struct send const *s, char const *addr, size_t len)
{
  uint32_t i = w->index++;
  if (w->state.rcpts && i < w->state.count && w->state.rcpts[i].fate != STATE_OPEN) return 0;
  if (w->sel.kind != SELECTOR_DOMAIN && (w->held || !s->holds.count)) return 1;
  w->addr.len = 0;
  if (rewrite_address(&s->routes, addr, len, &w->addr) == -1) return -1;
  return selector_rcpt(&w->sel, w->addr.s, w->addr.len) &&
         (w->held || !holds_rcpt(&s->holds, w->q.id, w->sender.s, w->sender.len, w->addr.s,
                                 w->addr.len));
}

/* One record. 1 the message is meant; 0 that is open; -1 it is not, or with errno cannot be read. */
static int read_record(struct walk *w, struct send const *s)
{
  char letter;
  char const *t;
  size_t len;
  errno = 0;
  int r = records_next(&w->envelope, &letter, &t, &len);
  if (r != 1) return -1;
  if (letter == 'T') return is_meant(w, s, t, len);
  if (letter != 'F') return 0;
  if (!stralloc_copyb(&w->sender, t, len)) return -1;
  return selector_message(&w->sel, w->q.id, t, len) ? 0 : -1;
}

/* Read on in the message that is open. */
static enum walked read_on(struct walk *w, struct send const *s)
{
  while (w->records) {
    w->records--;
    int r = read_record(w, s);
    if (!r) continue;
    if (r == -1 && errno) {
      log_trouble("trouble reading message", w->q.id);
      w->trouble++;
    }
    return r == 1 ? WALK_FOUND : WALK_END;
  }
  return WALK_MORE;
}

/* Is it still that message? Finished files are used again. */
static int is_there(struct walk const *w)
{
  struct qfile now;
  return qfile_read(w->fd, &now) == 1 && now.state == QFILE_LIVE && now.id == w->q.id &&
         !memcmp(now.nonce, w->q.nonce, QFILE_NONCE);
}

/* One message has one name: there is no need to look at the others. */
static void open_by_id(struct walk *w, struct send const *s)
{
  char path[QFILE_NAME_MAX];
  w->dir = s->split + 1;
  qfile_name(path, "mess", s->split, w->sel.id);
  open_message(w, s, path, w->sel.id);
}

static void open_directory(struct walk *w, struct send const *s)
{
  char name[QFILE_NAME_MAX] = "free";
  if (w->dir) snprintf(name, sizeof name, "mess/%u", w->dir - 1);
  int fd = openat(s->queuefd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  w->open = fd == -1 ? 0 : fdopendir(fd);
  if (w->open) return;
  trouble(w, name);
  if (fd != -1) close(fd);
  w->dir++;
}

/* The next name of the directory that is open. */
static void next_name(struct walk *w, struct send const *s)
{
  char path[QFILE_NAME_MAX];
  struct dirent const *e = readdir(w->open);
  uint64_t name;
  w->names--;
  if (!e) {
    closedir(w->open);
    w->open = 0;
    w->dir++;
  } else if (qfile_scan_id(e->d_name, &name)) {
    qfile_place(path, s->split, name, w->dir ? 0 : name);
    if (!w->dir || name % s->split == w->dir - 1) open_message(w, s, path, name);
  }
}

enum walked walk_next(struct walk *w, struct send const *s, uint64_t *id, uint64_t *place)
{
  while (w->names && w->files) {
    if (w->fd != -1) {
      enum walked r = read_on(w, s);
      if (r == WALK_MORE) return r;
      int found = r == WALK_FOUND && is_there(w);
      *id = w->q.id;
      *place = w->place;
      close_message(w);
      if (found) return WALK_FOUND;
    } else if (w->open) {
      next_name(w, s);
    } else if (w->dir > s->split) {
      return WALK_END;
    } else if (w->dir && w->sel.kind == SELECTOR_ID) {
      open_by_id(w, s);
    } else {
      open_directory(w, s);
    }
  }
  return WALK_MORE;
}
