/* session.c - greet, read command after command, end; see session.h */

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "auth.h"
#include "cdbmap.h"
#include "mode.h"
#include "sasl.h"
#include "session.h"

#define TLS_HANDSHAKE 0x16 /* the first byte that a TLS client sends */

void session_reply(struct session *s, unsigned int code, char const *status, char const *text)
{
  char line[640];
  int n = snprintf(line, sizeof line - 2, "%u %s%s%s", code, status, *status ? " " : "", text);
  size_t len = n < 0 ? 0 : (size_t)n < sizeof line - 2 ? (size_t)n : sizeof line - 3;
  memcpy(line + len, "\r\n", 2);
  stream_put(&s->io, line, len + 2);
  if (code < 500) return;
  s->errors++;
  s->in_a_row++;
}

void session_close(struct session *s, unsigned int code, char const *status, char const *text,
                   char const *why)
{
  session_reply(s, code, status, text);
  s->end = why;
  s->linger = 1;
}

void session_no_text(struct session *s)
{
  session_close(s, 554, "5.5.0", "you sent data before you were asked to", "typed ahead of DATA");
}

void session_lost(struct session *s, enum stream_result r)
{
  switch (r) {
    case STREAM_IDLE: session_close(s, 421, "4.4.2", "timeout", "timeout"); break;
    case STREAM_EXPIRED:
      session_close(s, 421, "4.4.2", "this session has lasted too long", "session timeout");
      break;
    case STREAM_STOPPED:
      session_close(s, 421, "4.3.2", "shutting down, come back later", "shutdown");
      break;
    case STREAM_EOF:
      s->end = "closed by client";
      s->orderly = !s->has_sender;
      break;
    default: s->end = "lost connection"; break;
  }
}

void session_reset(struct session *s)
{
  if (s->queue == QUEUE_OPEN) submit_abort(&s->submit);
  s->queue = QUEUE_CLOSED;
  s->has_sender = s->bad_sender = s->eightbit = s->too_many_logged = 0;
  s->size = 0;
  s->ret = DSN_RET_NONE;
  s->senderlen = s->envidlen = 0;
  s->rcpts.len = 0;
  s->nrcpts = 0;
}

static int is_safe_line(char const *line, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)line[i] < 32 || line[i] == 127) return 0;
  return 1;
}

/* Nothing in a handshake is a command, whatever its bytes look like. */
static void refuse_tls(struct session *s)
{
  session_close(s, 421, "4.7.0", "TLS is not spoken here", "TLS handshake");
}

/* A command that is a longer line than others (RFC 4954, 4). */
static size_t limit_of(struct session const *s)
{
  char const *start = s->io.inbuf + s->io.pos;
  size_t max = s->settings->maxline;
  int is_auth = s->io.len - s->io.pos >= 5 && !strncasecmp(start, "AUTH ", 5) && auth_is_offered();
  return is_auth && max < SASL_LINE_MAX ? SASL_LINE_MAX : max;
}

/* <max> 0: that of commands. The line's end stays. */
static enum session_line read_line(struct session *s, size_t max, char **line, size_t *len)
{
  struct stream *io = &s->io;
  size_t scanned = 0;
  int too_long = 0;
  char *lf;
  while (!(lf = memchr(io->inbuf + io->pos + scanned, '\n', io->len - io->pos - scanned))) {
    scanned = io->len - io->pos;
    if (scanned && io->inbuf[io->pos] == TLS_HANDSHAKE) {
      refuse_tls(s);
      return SESSION_LINE_NONE;
    }
    if (scanned >= (max ? max : limit_of(s))) {
      too_long = 1;
      io->pos = io->len;
      scanned = 0;
    }
    enum stream_result r = stream_fill(io);
    if (r != STREAM_OK) {
      session_lost(s, r);
      return SESSION_LINE_NONE;
    }
  }
  if (!max) max = limit_of(s);
  *line = io->inbuf + io->pos;
  *len = (size_t)(lf - *line);
  io->pos += *len + 1;
  return too_long || *len + 1 > max ? SESSION_LINE_LONG : SESSION_LINE;
}

/* Take off what stands before the LF. 1, or 0: the session has ended. */
static int is_ended_well(struct session *s, char const *line, size_t *len)
{
  if (*len && line[*len - 1] == '\r') {
    --*len;
  } else if (!s->mend) {
    session_close(s, 500, "5.5.2", "command lines must end with CR LF", "bare LF");
    return 0;
  }
  return 1;
}

enum session_line session_read_line(struct session *s, size_t max, char **line, size_t *len)
{
  enum session_line r = read_line(s, max, line, len);
  return r == SESSION_LINE && !is_ended_well(s, *line, len) ? SESSION_LINE_NONE : r;
}

/* Answer the line s[0..len), which ended with LF. */
static void take_line(struct session *s, char const *line, size_t len, int too_long)
{
  if (len && *line == TLS_HANDSHAKE) {
    refuse_tls(s);
    return;
  }
  if (too_long) {
    session_reply(s, 500, "5.5.2", "line too long");
    return;
  }
  if (!is_ended_well(s, line, &len)) return;
  while (len && (line[len - 1] == ' ' || line[len - 1] == '\t')) len--;
  if (!is_safe_line(line, len)) session_reply(s, 500, "5.5.2", "control character in command");
  else command(s, line, len);
}

/* Read one line of whatever length in the memory there is, and answer it. */
static void next_command(struct session *s)
{
  char *line;
  size_t len;
  enum session_line r = read_line(s, 0, &line, &len);
  if (r != SESSION_LINE_NONE) take_line(s, line, len, r == SESSION_LINE_LONG);
}

int session_is_ahead(struct session *s)
{
  return !s->client.relay && stream_is_pending(&s->io);
}

static void greet(struct session *s)
{
  char text[600];
  if (session_is_ahead(s)) {
    session_close(s, 554, "5.5.0", "you spoke before you were greeted", "early talker");
    return;
  }
  snprintf(text, sizeof text, "%.500s ESMTP", s->settings->greeting.s);
  session_reply(s, 220, "", text);
}

static void start(struct session *s, struct settings const *settings, struct client const *client)
{
  if (!s->number++) submit_init(&s->submit);
  memset((char *)s + offsetof(struct session, client), 0,
         offsetof(struct session, io) - offsetof(struct session, client)); /* not the buffers */
  s->settings = settings;
  s->client = *client;
  s->client.hidden = settings->hideclient != 0;
  s->databytes = client->has_databytes ? client->databytes : settings->databytes;
  s->brtlimit = client->has_brtlimit ? client->brtlimit : settings->brtlimit;
  s->mend = netlist_has(&settings->normalize, client->ip);
  int n = snprintf(s->id, sizeof s->id, "%lld.%ld", (long long)time(0), (long)getpid());
  if (s->number > 1) snprintf(s->id + n, sizeof s->id - (size_t)n, ".%u", s->number);
}

/* May another session follow? Not where something went wrong, and not where
 * recipients have moved through memory that nobody wipes. */
static int is_clean(struct session const *s)
{
  return s->orderly && !s->linger && s->io.broken == STREAM_OK &&
         s->rcpts.a <= SESSION_RCPTS_ROOM && submit_is_clean(&s->submit);
}

static void wipe(struct session *s)
{
  size_t kept = offsetof(struct session, client);
  if (s->rcpts.s) explicit_bzero(s->rcpts.s, s->rcpts.a);
  submit_wipe(&s->submit);
  explicit_bzero((char *)s + kept, sizeof *s - kept);
}

/* What is left to do when the last reply is out. */
static int finish(struct session *s, int again)
{
  session_reset(s);
  again = again && !mode.submission && is_clean(s); /* names and headers stay in memory */
  if (!again) submit_close(&s->submit);
  log_end(s);
  if (s->linger) stream_linger(&s->io);
  cdbmap_close(s->morercpthosts);
  if (again) wipe(s);
  else tls_await_end(s->io.in, s->tls.on);
  return again;
}

int session_serve(struct settings const *settings, struct client const *client, int in, int out,
                  volatile sig_atomic_t const *stop, int again)
{
  static struct session s; /* static, so that buffers cost nothing until they are used */
  start(&s, settings, client);
  tls_again(again && !auth_is_offered() ? client->ip : 0); /* passwords go where nobody has been before */
  stream_start(&s.io, in, out, settings->idle, settings->session, stop);
  if (client->smtps) starttls_on_connect(&s);
  if (!s.end) greet(&s);
  while (!s.end) {
    s.io.may_stop = !s.has_sender;
    next_command(&s);
    if (!s.end && s.brtlimit && s.unknown >= s.brtlimit)
      session_close(&s, 421, "4.7.0", "too many recipients that do not exist", "brtlimit");
    if (!s.end && settings->maxerrors && s.in_a_row >= settings->maxerrors)
      session_close(&s, 421, "4.7.0", "too many errors", "too many errors");
  }
  stream_flush(&s.io);
  return finish(&s, again);
}
