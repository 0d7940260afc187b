/* message_file.c - the files of a message, opened for reading; see send.h */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "send.h"

static enum look look_trouble(char const *path, int fd)
{
  log_unable("open", path);
  if (fd != -1) close(fd);
  return LOOK_TROUBLE;
}

enum look message_look(struct send const *s, char const *path, int *fdp, struct qfile *q)
{
  struct stat st;
  int fd = openat(s->queuefd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd == -1)
    return errno == ENOENT ? LOOK_GONE : errno == ELOOP ? LOOK_NOT_MAIL : look_trouble(path, -1);
  if (fstat(fd, &st) == -1) return look_trouble(path, fd);
  int locked = S_ISREG(st.st_mode) && flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK;
  int r = locked || !S_ISREG(st.st_mode) ? 0 : qfile_read(fd, q);
  if (r == -1) return look_trouble(path, fd);
  flock(fd, LOCK_UN);
  if (r == 1 && q->state == QFILE_LIVE) {
    *fdp = fd;
    return LOOK_OK;
  }
  close(fd);
  return locked ? LOOK_LOCKED : LOOK_NOT_MAIL;
}

int message_state(struct send const *s, struct qfile const *q, struct state *st)
{
  char name[QFILE_NAME_MAX];
  qfile_name(name, "state", s->split, q->id);
  int fd = openat(s->queuefd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd == -1) return errno == ENOENT ? 0 : -1;
  if (q->rcpts > q->envlen) {
    close(fd);
    return (errno = EPROTO, -1);
  }
  int r = state_read(st, fd, q->nonce, q->rcpts, s->run);
  int e = errno;
  close(fd);
  errno = e;
  return r;
}

int message_open(struct send *s, struct msg *m)
{
  char name[QFILE_NAME_MAX];
  struct qfile q;
  qfile_place(name, s->split, m->q.id, m->place);
  int fd = openat(s->queuefd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  int r = fd == -1 ? -1 : qfile_read(fd, &q);
  if (r == 1 && q.state == QFILE_LIVE && q.id == m->q.id &&
      !memcmp(q.nonce, m->q.nonce, QFILE_NONCE))
    return fd;
  int e = r == -1 ? errno : ENOENT;
  if (fd != -1) close(fd);
  if (e == ENOENT && m->place) { /* the keeper has moved it meanwhile */
    m->place = 0;
    return message_open(s, m);
  }
  return (errno = e, -1);
}
