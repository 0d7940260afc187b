/* message.c - one message on its way to the disk; see message.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "fileat.h"
#include "ids.h"
#include "message.h"
#include "recycle.h"
#include "trigger.h"

#define CHECK_BYTES   1048576 /* bytes between two looks at the free space */
#define NONCES        16      /* nonces that are fetched at a time */
#define COLLISION_MAX 100     /* ids in turn that are found taken before giving up */

void message_fail(struct message *m, int code, char const *why)
{
  if (m->code) return;
  m->code = code;
  m->why = why;
}

static void fail_write(struct message *m, char const *why)
{
  if (m->code) return;
  message_fail(m, QQ_WRITE, errno == ENOSPC || errno == EDQUOT ? "the disk is full" : why);
  queue_alert(why);
}

static int get_nonce(char nonce[QFILE_NONCE])
{
  static char pool[NONCES][QFILE_NONCE];
  static size_t left;
  if (!left) {
    if (getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool) return 0;
    left = NONCES;
  }
  memcpy(nonce, pool[--left], QFILE_NONCE);
  return 1;
}

static void mess_name(struct message const *m, char name[QFILE_NAME_MAX])
{
  qfile_name(name, "mess", m->q->split, m->file.id);
}

/* Give it another id, because a file of that name exists. 1, or 0 when its
 * first bytes are on disk already. */
static int next_id(struct message *m)
{
  char old[24], new[24];
  uint64_t id = ids_next(m->q);
  int a = snprintf(old, sizeof old, "%llu", (unsigned long long)m->file.id);
  int b = snprintf(new, sizeof new, "%llu", (unsigned long long)id);
  if (a != b || m->flushed) return 0;
  memcpy(m->buf + m->idat, new, (size_t)b);
  m->file.id = id;
  return 1;
}

/* The file for a message that needs a new one, under an id that is not taken. */
static int open_new(struct message *m)
{
  char name[QFILE_NAME_MAX];
  struct stat st;
  for (int i = 0; mess_name(m, name), fstatat(m->q->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0; i++)
    if (i == COLLISION_MAX || !next_id(m)) return (errno = EEXIST, 0);
  *strrchr(name, '/') = 0;
  return newfile_open(&m->new, m->q, name, m->file.id);
}

/* Move the buffer to the file. */
static void flush(struct message *m)
{
  if (m->code) {
    m->len = 0;
    return;
  }
  if (m->new.fd == -1 && !open_new(m)) {
    message_fail(m, QQ_MESS, "cannot make a file in the queue");
    queue_alert("cannot make a file in queue/mess");
    return;
  }
  if (!fileat_write(m->new.fd, m->buf, m->len, QFILE_HEADER + m->flushed)) {
    fail_write(m, "cannot write to the queue");
    return;
  }
  m->file.sum = qfile_sum_add(m->file.sum, m->buf, m->len);
  m->flushed += m->len;
  m->len = 0;
  if (m->flushed - m->checked < CHECK_BYTES) return;
  m->checked = m->flushed;
  if (!queue_room(m->q, 0)) message_fail(m, QQ_WRITE, "the disk is full");
}

static void add(struct message *m, char const *s, size_t len)
{
  while (len && !m->code) {
    size_t n = sizeof m->buf - m->len;
    if (!n) {
      flush(m);
      continue;
    }
    if (n > len) n = len;
    memcpy(m->buf + m->len, s, n);
    m->len += n;
    s += n;
    len -= n;
  }
}

static void add_received(struct message *m, char const *trace, size_t tracelen)
{
  time_t when = (time_t)(m->file.birth / 1000000);
  struct qfile const *f = &m->file;
  if (tracelen)
    m->len = received_trace(m->buf, trace, tracelen, f->id, when, &m->idat);
  else
    m->len = received_uid(m->buf, m->q->settings.me.s, f->uid, f->id, when, &m->idat);
  m->file.msglen = m->len;
}

void message_begin(struct message *m, struct queue const *q, uid_t uid, uint64_t size,
                   char const *trace, size_t tracelen)
{
  struct qfile const file = { .state = QFILE_LIVE, .id = ids_next(q), .birth = clock_wall_us(),
                              .uid = (uint32_t)uid };
  struct envelope const envelope = ENVELOPE_ZERO;
  m->q = q;
  m->file = file;
  m->envelope = envelope;
  m->new.fd = -1;
  m->new.begun[0] = 0;
  m->flushed = m->checked = 0;
  m->code = 0;
  m->why = "";
  m->len = 0;
  if (!get_nonce(m->file.nonce)) message_fail(m, QQ_TEMPORARY, "no random numbers");
  m->file.sum = qfile_sum_start(m->file.nonce);
  add_received(m, trace, tracelen);
  if (!queue_room(q, size))
    message_fail(m, QQ_WRITE,
                 errno == ENOSPC ? "no room in the queue" : "the free space cannot be told");
}

void message_data(struct message *m, char const *s, size_t len)
{
  m->file.msglen += len;
  if (m->file.msglen > QFILE_MSG_MAX) message_fail(m, QQ_REFUSED, "the message is too large");
  add(m, s, len);
}

void message_envelope(struct message *m, char const *s, size_t len)
{
  size_t used = envelope_take(&m->envelope, s, len);
  if (m->envelope.state == ENVELOPE_END || used < len || m->envelope.code)
    message_fail(m, m->envelope.code ? m->envelope.code : QQ_FORMAT, "the envelope is malformed");
  add(m, s, len);
}

/* Write the header, give the new file its name, and make both durable. */
static int finish_new(struct message *m)
{
  char header[QFILE_HEADER], name[QFILE_NAME_MAX];
  flush(m);
  if (m->code) return 0;
  mess_name(m, name);
  qfile_pack(header, &m->file);
  if (!fileat_write(m->new.fd, header, sizeof header, 0))
    return (fail_write(m, "cannot write to the queue"), 0);
  if (!newfile_link(&m->new, m->q, name))
    return (fail_write(m, "cannot name a file in queue/mess"), 0);
  int ok = fsync(m->new.fd) == 0;
  char *slash = strrchr(name, '/');
  *slash = 0;
  if (ok && newfile_sync_dir(m->q, name)) return 1;
  *slash = '/';
  fail_write(m, "cannot sync the queue");
  unlinkat(m->q->dir, name, 0);
  return 0;
}

/* Write the message into a finished file, whose name it tells. 1; 0 when there is none; -1 when
 * it failed. */
static int finish_recycled(struct message *m, uint64_t *name)
{
  struct recycled r;
  if (m->flushed || !recycle_take(&r, m->q)) return 0;
  *name = r.name;
  m->file.sum = qfile_sum_add(m->file.sum, m->buf, m->len);
  if (recycle_write(&r, m)) return 1;
  fail_write(m, "cannot write to the queue");
  recycle_drop(&r, m->q);
  return -1;
}

int message_commit(struct message *m)
{
  int code = envelope_check(&m->envelope);
  char const *why = code == QQ_READ ? "the envelope is cut off" : "the envelope is malformed";
  if (code) message_fail(m, code, why);
  m->file.envlen = m->envelope.total;
  m->file.rcpts = m->envelope.rcpts;
  uint64_t free_name = 0;
  if (!m->code && !finish_recycled(m, &free_name)) finish_new(m);
  newfile_close(&m->new, m->q);
  if (!m->code) trigger_pull(m->q, m->file.id, free_name);
  return !m->code;
}

void message_abort(struct message *m)
{
  newfile_close(&m->new, m->q);
}
