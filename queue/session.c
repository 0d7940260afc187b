/* session.c - one connection to queued; see session.h and queuewire.h */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/sig.h>
#include <skalibs/uint32.h>
#include <skalibs/uint64.h>

#include "logline.h"
#include "message.h"
#include "session.h"

#define INPUT_BUFFER 65536

struct session {
  int sock;
  uid_t uid;
  struct queue const *q;
  int in_message;
  int in_envelope; /* an E came: no more D */
  size_t outlen;   /* replies that wait until the client must be waited for */
  char out[QUEUEWIRE_REPLY_MAX * 4];
  size_t pos, len; /* the input that is not used yet is in[pos..len) */
  char in[INPUT_BUFFER];
  struct message message;
};

static size_t format_reply(char *out, char type, int code, char const *text)
{
  size_t n = strlen(text);
  if (n > QUEUEWIRE_TEXT_MAX) n = QUEUEWIRE_TEXT_MAX;
  out[0] = type;
  uint32_pack_big(out + 1, (uint32_t)(n + 1));
  out[QUEUEWIRE_HEAD] = (char)code;
  memcpy(out + QUEUEWIRE_HEAD + 1, text, n);
  return QUEUEWIRE_HEAD + 1 + n;
}

void session_refuse(int sock, char const *why)
{
  char out[QUEUEWIRE_REPLY_MAX];
  size_t n = format_reply(out, 'Z', QQ_TEMPORARY, why);
  (void)!send(sock, out, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void end(struct session *s)
{
  if (s->in_message) message_abort(&s->message);
  _exit(0);
}

static void send_replies(struct session *s)
{
  if (allwrite(s->sock, s->out, s->outlen) < s->outlen) end(s);
  s->outlen = 0;
}

static void reply(struct session *s, char type, int code, char const *text)
{
  if (sizeof s->out - s->outlen < QUEUEWIRE_REPLY_MAX) send_replies(s);
  s->outlen += format_reply(s->out + s->outlen, type, code, text);
}

static void reply_error(struct session *s)
{
  struct message const *m = &s->message;
  reply(s, QQ_IS_PERMANENT(m->code) ? 'D' : 'Z', m->code, m->why);
}

/* A client that breaks the protocol is told so, and left. */
static void break_off(struct session *s, char const *why)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "warning: queued: connection broken off");
  logline_keyn(&l, "uid", s->uid);
  logline_key(&l, "reason", why);
  logline_write(&l);
  reply(s, 'Z', QQ_BUG, why);
  send_replies(s);
  end(s);
}

/* Read more. What is there is moved to the front first, so that there is room. */
static void fill(struct session *s)
{
  if (s->outlen) send_replies(s);
  if (s->pos == s->len) {
    s->pos = s->len = 0;
  } else if (s->pos) {
    memmove(s->in, s->in + s->pos, s->len - s->pos);
    s->len -= s->pos;
    s->pos = 0;
  }
  ssize_t n = fd_read(s->sock, s->in + s->len, sizeof s->in - s->len);
  if (n <= 0) end(s); /* gone, or silent for too long */
  s->len += (size_t)n;
}

/* The next <n> bytes of the input, n being less than INPUT_BUFFER. */
static char const *get(struct session *s, size_t n)
{
  while (s->len - s->pos < n) fill(s);
  s->pos += n;
  return s->in + s->pos - n;
}

/* Between messages the process may be ended, inside one it is not. */
static void set_in_message(struct session *s, int in)
{
  s->in_message = in;
  s->in_envelope = 0;
  if (in) sig_block(SIGTERM);
  else sig_unblock(SIGTERM);
}

static int may_trace(struct session const *s)
{
  return s->uid == s->q->accounts.uid[ACCOUNT_SMTPD];
}

static void do_open(struct session *s, size_t len)
{
  if (s->in_message) break_off(s, "a message inside a message");
  if (len < QUEUEWIRE_OPEN_HEAD || len > QUEUEWIRE_OPEN_HEAD + QUEUEWIRE_TRACE_MAX)
    break_off(s, "a malformed opening");
  char const *payload = get(s, len);
  char const *trace = payload + QUEUEWIRE_OPEN_HEAD;
  size_t tracelen = len - QUEUEWIRE_OPEN_HEAD;
  uint64_t size;
  uint64_unpack_big(payload, &size);
  if (!may_trace(s)) tracelen = 0;
  if (tracelen && !received_trace_ok(trace, tracelen)) break_off(s, "a malformed trace");
  set_in_message(s, 1);
  message_begin(&s->message, s->q, s->uid, size, trace, tracelen);
  if (s->message.code) reply_error(s);
  else reply(s, 'K', QQ_OK, "");
}

typedef void take_func(struct message *, char const *, size_t);

static void do_bytes(struct session *s, size_t len, take_func *take)
{
  if (!s->in_message) break_off(s, "bytes outside of a message");
  if (len > QUEUEWIRE_FRAME_MAX) break_off(s, "a frame that is too long");
  while (len) {
    if (s->pos == s->len) fill(s);
    size_t n = s->len - s->pos;
    if (n > len) n = len;
    take(&s->message, s->in + s->pos, n);
    s->pos += n;
    len -= n;
  }
}

static void do_commit(struct session *s)
{
  char id[24];
  if (!s->in_message) break_off(s, "a commit outside of a message");
  if (message_commit(&s->message)) {
    snprintf(id, sizeof id, "%llu", (unsigned long long)s->message.file.id);
    reply(s, 'K', QQ_OK, id);
  } else {
    reply_error(s);
  }
  send_replies(s);
  set_in_message(s, 0);
}

static void do_abort(struct session *s)
{
  if (!s->in_message) return;
  message_abort(&s->message);
  set_in_message(s, 0);
}

static void do_frame(struct session *s)
{
  uint32_t len;
  char const *head = get(s, QUEUEWIRE_HEAD);
  char type = head[0];
  uint32_unpack_big(head + 1, &len);
  switch (type) {
    case QUEUEWIRE_OPEN: do_open(s, len); break;
    case QUEUEWIRE_DATA:
      if (s->in_envelope) break_off(s, "a message behind its envelope");
      do_bytes(s, len, message_data);
      break;
    case QUEUEWIRE_ENVELOPE:
      s->in_envelope = 1;
      do_bytes(s, len, message_envelope);
      break;
    case QUEUEWIRE_COMMIT:
      if (len) break_off(s, "a malformed commit");
      do_commit(s);
      break;
    case QUEUEWIRE_ABORT:
      if (len) break_off(s, "a malformed abort");
      do_abort(s);
      break;
    default: break_off(s, "an unknown frame");
  }
}

void session_run(int sock, uid_t uid, struct queue const *q)
{
  static struct session s;
  struct timeval const idle = { .tv_sec = SESSION_IDLE_SECONDS };
  struct timeval const slow = { .tv_sec = SESSION_SEND_SECONDS };
  s.sock = sock;
  s.uid = uid;
  s.q = q;
  if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle) == -1 ||
      setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &slow, sizeof slow) == -1)
    _exit(111);
  for (;;) do_frame(&s);
}
