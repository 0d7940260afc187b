/* submit.c - hand a message to the queue; see submit.h. The two ways that it
 * can go are in submit_socket.c and submit_program.c. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/djbunix.h>

#include "qfile.h"
#include "submit_parts.h"

#define ENVELOPE_ROOM 4096 /* bytes of an envelope that does not move while it grows */

static char const *program(void)
{
  char const *p = getenv("QMAILQUEUE");
  return p && *p ? p : 0;
}

int submit_uses_program(void)
{
  return program() != 0;
}

char const *submit_code_text(int code, int *permanent)
{
  *permanent = QQ_IS_PERMANENT(code);
  switch (code) {
    case QQ_OK: return "2.0.0 ok";
    case QQ_TOO_LONG:
    case QQ_ADDRESS2: return "5.1.3 envelope address too long";
    case QQ_REFUSED: return "5.3.0 mail server permanently rejected message";
    case QQ_NOMEM: return "4.3.0 out of memory";
    case QQ_TIMEOUT: return "4.3.0 timeout in the queue";
    case QQ_WRITE: return "4.3.0 write error or disk full";
    case QQ_READ: return "4.3.0 read error in the queue";
    case QQ_CONFIG: return "4.3.0 unable to read configuration";
    case 56: return "4.3.0 trouble making network connection";
    case QQ_HOME: return "4.3.0 trouble in home directory";
    case 62:
    case 63:
    case QQ_MESS:
    case 65:
    case 66: return "4.3.0 trouble creating files in queue";
    case QQ_TEMPORARY: return "4.3.0 mail server temporarily rejected message";
    case QQ_SLOW: return "4.4.1 connection to mail server timed out";
    case 73: return "4.4.1 connection to mail server rejected";
    case QQ_LOST: return "4.4.2 communication with mail server failed";
    case QQ_BUG:
    case QQ_FORMAT: return "4.3.0 internal bug in the queue";
    case QQ_NOEXEC: return "4.3.0 unable to run the queue program";
    default: return *permanent ? "5.3.0 permanent problem in the queue"
                               : "4.3.0 temporary problem in the queue";
  }
}

void submit_fail(struct submit *s, int code, char const *why)
{
  if (s->broken) return;
  s->broken = s->code = code;
  size_t n = strlen(why);
  if (n > sizeof s->why - 1) n = sizeof s->why - 1;
  memcpy(s->why, why, n);
  s->why[n] = 0;
}

void submit_init(struct submit *s)
{
  s->fd = s->msgfd = s->envfd = s->textfd = -1;
  s->program = s->pid = s->owed = s->kept = 0;
  s->stored = 0;
  s->envelope = (stralloc)STRALLOC_ZERO;
}

int submit_open(struct submit *s, unsigned int flags, uint64_t size, char const *trace)
{
  char const *p = flags & SUBMIT_USE_PROGRAM ? program() : 0;
  s->broken = s->code = s->sent = 0;
  s->why[0] = 0;
  s->id = 0;
  s->envelope.len = s->pending = s->frame = s->textlen = 0;
  s->program = p != 0;
  s->size = size;
  stralloc_ready_tuned(&s->envelope, ENVELOPE_ROOM, 0, 0, 1); /* without it, the first record fails */
  return p ? submit_program_open(s, p) : submit_socket_open(s, flags, size, trace);
}

int submit_room(struct submit *s)
{
  if (s->program) return 1;
  return !s->broken && submit_socket_room(s);
}

void submit_message(struct submit *s, char const *bytes, size_t len)
{
  if (s->broken) return;
  if (s->program) submit_program_message(s, bytes, len);
  else submit_socket_message(s, bytes, len);
}

/* Append a record to the envelope. */
static void record(struct submit *s, char const *start, size_t startlen, char const *value,
                   size_t len)
{
  if (memchr(value, 0, len)) submit_fail(s, QQ_FORMAT, "a NUL byte in the envelope");
  else if (len > QFILE_ADDR_MAX - 1) submit_fail(s, QQ_TOO_LONG, "envelope address too long");
  if (s->broken) return;
  if (!stralloc_catb(&s->envelope, start, startlen) || !stralloc_catb(&s->envelope, value, len) ||
      !stralloc_0(&s->envelope))
    submit_fail(s, QQ_NOMEM, "out of memory");
}

void submit_from(struct submit *s, char const *sender, size_t len)
{
  record(s, "F", 1, sender, len);
}

void submit_to(struct submit *s, char const *rcpt, size_t len)
{
  record(s, "T", 1, rcpt, len);
}

void submit_extra(struct submit *s, char const *name, char const *value, size_t len)
{
  if (s->program || s->broken) return;
  if (!stralloc_cats(&s->envelope, "X") || !stralloc_cats(&s->envelope, name))
    submit_fail(s, QQ_NOMEM, "out of memory");
  record(s, "=", 1, value, len);
}

/* The result that s->code stands for; without a text of its own it gets the
 * code's. */
static enum submit_result result(struct submit *s)
{
  int permanent;
  char const *text = submit_code_text(s->code, &permanent);
  s->broken = 0;
  if (!s->code) return SUBMIT_OK;
  if (!s->why[0]) submit_fail(s, s->code, text);
  s->broken = 0;
  if (s->permanent) permanent = 1;
  return permanent ? SUBMIT_PERMANENT : SUBMIT_TEMPORARY;
}

enum submit_result submit_commit(struct submit *s)
{
  s->permanent = 0;
  if (s->program) submit_program_finish(s);
  else if (s->broken) submit_socket_abort(s);
  else submit_socket_commit(s);
  s->program = 0;
  return result(s);
}

void submit_abort(struct submit *s)
{
  submit_fail(s, QQ_READ, "given up");
  if (s->program) submit_program_finish(s);
  else submit_socket_abort(s);
  s->program = 0;
}

void submit_close(struct submit *s)
{
  if (s->program) submit_abort(s);
  if (s->fd != -1) fd_close(s->fd);
  s->fd = -1;
  stralloc_free(&s->envelope);
}

int submit_is_clean(struct submit const *s)
{
  return s->envelope.a <= ENVELOPE_ROOM;
}

void submit_wipe(struct submit *s)
{
  if (s->envelope.s) explicit_bzero(s->envelope.s, s->envelope.a);
  explicit_bzero(s->buf, sizeof s->buf);
  explicit_bzero(s->why, sizeof s->why);
}
