/* receive.c - take a message in: from the first recipient to the answer after the dot */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../ofmipd/submission.h"
#include "data.h"
#include "date.h"
#include "mode.h"
#include "session.h"

#define DISK_FULL 53 /* qmail-queue's exit code for a write that failed */

struct answer {
  char const *kind; /* for the log */
  unsigned int code;
  char status[16];
  char text[SUBMIT_WHY_MAX];
};

/* RFC 3848 has words for ESMTP only. */
static size_t trace(struct session const *s, char out[CLIENT_TRACE_MAX])
{
  char with[128];
  char const *a = s->login[0] ? "A" : "";
  if (s->tls.on)
    snprintf(with, sizeof with, "%s%s\n\t(%s%s%s)", s->esmtp ? "ESMTPS" : "SMTP", a,
             s->tls.protocol[0] ? s->tls.protocol : "TLS", s->tls.cipher[0] ? " " : "", s->tls.cipher);
  else
    snprintf(with, sizeof with, "%s%s", s->esmtp ? "ESMTP" : "SMTP", a);
  return client_trace(&s->client, out, s->helo, s->settings->me.s, with);
}

static void open_queue(struct session *s)
{
  char text[CLIENT_TRACE_MAX];
  trace(s, text);
  s->queue = submit_open(&s->submit, SUBMIT_USE_PROGRAM, s->size, text) ? QUEUE_OPEN : QUEUE_AWAY;
}

/* queued looks for room while the client goes on; a QMAILQUEUE program is only
 * started for a message that is really sent. */
void receive_open(struct session *s)
{
  if (s->queue == QUEUE_CLOSED && !submit_uses_program()) open_queue(s);
}

static size_t count_digits(char const *s)
{
  return strspn(s, "0123456789");
}

/* The length of the enhanced code of that class (RFC 3463: 1 to 3 digits in each part) that <why>
 * begins with, or 0. */
static size_t status_length(char const *why, char class)
{
  if (why[0] != class || why[1] != '.') return 0;
  size_t subject = count_digits(why + 2);
  if (!subject || subject > 3 || why[2 + subject] != '.') return 0;
  size_t detail = count_digits(why + 3 + subject);
  size_t len = 3 + subject + detail;
  return detail && detail <= 3 && (!why[len] || why[len] == ' ') ? len : 0;
}

/* Make an answer of what the queue says: "4.3.0 text", or a program's own words. */
static void explain(struct answer *a, struct submit const *q, int permanent)
{
  char const *why = q->why;
  char class = permanent ? '5' : '4';
  size_t n = status_length(why, class);
  if (n) snprintf(a->status, sizeof a->status, "%.*s", (int)n, why);
  else snprintf(a->status, sizeof a->status, "%c.3.0", class);
  why += n;
  while (*why == ' ') why++;
  snprintf(a->text, sizeof a->text, "%s", *why ? why : "queue trouble");
  for (char *c = a->text; *c; c++)
    if ((unsigned char)*c < 32 || (unsigned char)*c > 126) *c = '?';
  a->code = permanent ? 554 : q->code == DISK_FULL ? 452 : 451;
  if (a->code == 452) snprintf(a->status, sizeof a->status, "4.3.1");
  a->kind = permanent ? "refused" : "deferred";
}

static void refuse(struct answer *a, unsigned int code, char const *status, char const *text)
{
  a->kind = code >= 500 ? "refused" : "deferred";
  a->code = code;
  snprintf(a->status, sizeof a->status, "%s", status);
  snprintf(a->text, sizeof a->text, "%s", text);
}

/* Answer, and write it down. */
static void send_answer(struct session *s, struct answer const *a, uint64_t id, uint64_t octets,
                        char const *detail)
{
  char reply[SUBMIT_WHY_MAX + 32];
  session_reply(s, a->code, a->status, a->text);
  stream_flush(&s->io);
  snprintf(reply, sizeof reply, "%s %s", a->status, a->text);
  log_message(s, a->kind, id, octets, a->code, reply, detail);
}

/* The answer after the dot. Only PIPELINING allows to go on before it (RFC 2920, 3.1). */
static void finish(struct session *s, struct answer const *a, uint64_t id, uint64_t octets,
                   char const *detail)
{
  int ahead = !s->esmtp && session_is_ahead(s);
  send_answer(s, a, id, octets, detail);
  if (ahead) session_close(s, 554, "5.5.0", "you went on without waiting", "typed ahead");
}

/* --- the message --- */

static void store(void *arg, char const *text, size_t len)
{
  struct session *s = arg;
  if (s->queue != QUEUE_OPEN) return;
  if (mode.submission) submission_text(s, text, len);
  else submit_message(&s->submit, text, len);
}

/* A QMAILQUEUE program expects the Received line to be there. */
static void write_received(struct session *s)
{
  char text[CLIENT_TRACE_MAX], date[DATE_MAX];
  size_t len = trace(s, text);
  submit_message(&s->submit, "Received: ", 10);
  submit_message(&s->submit, text, len);
  submit_message(&s->submit, ";\n\t", 3);
  submit_message(&s->submit, date, date_rfc5322(date, time(0)));
  submit_message(&s->submit, "\n", 1);
}

/* What the message has to be refused for. 1 and the answer, or 0. */
static int is_unacceptable(struct session const *s, struct data const *d, struct answer *a)
{
  char const *status, *text;
  unsigned int code = mode.submission ? submission_refusal(&status, &text) : 0;
  if (data_is_bad(d))
    refuse(a, 550, "5.6.0", "bare LF, bare CR or NUL in the message; lines must end with CR LF");
  else if (s->databytes && d->octets > s->databytes)
    refuse(a, 552, "5.3.4", "sorry, that message size exceeds my databytes limit");
  else if (d->hops >= SESSION_HOPS)
    refuse(a, 554, "5.4.6", "too many hops, this message is looping");
  else if (code)
    refuse(a, code, status, text);
  else
    return 0;
  return 1;
}

/* Read to the true end of the text. Once it is clear that the message will be
 * refused, the queue gets no more of it. 1, or 0 when the connection is lost. */
static int read_text(struct session *s, struct data *d)
{
  struct stream *io = &s->io;
  struct answer a;
  while (d->state != DATA_END) {
    if (io->pos == io->len) {
      enum stream_result r = stream_fill(io);
      if (r != STREAM_OK) {
        session_lost(s, r);
        return 0;
      }
      /* A client that keeps sending may stay: a second for each 1000 bytes. */
      io->expires += (int64_t)(io->len - io->pos);
    }
    io->pos += data_feed(d, io->inbuf + io->pos, io->len - io->pos);
    if (s->queue == QUEUE_OPEN && is_unacceptable(s, d, &a)) {
      submit_abort(&s->submit);
      s->queue = QUEUE_CLOSED;
    }
  }
  return 1;
}

/* One record of s->rcpts: T<recipient>, XNOTIFY=<value>, XORCPT=<value>. */
static void send_record(struct session *s, char const *record, size_t len)
{
  char const *value = *record == 'X' ? strchr(record, '=') + 1 : record + 1;
  len -= (size_t)(value - record);
  if (*record == 'T') submit_to(&s->submit, value, len);
  else submit_extra(&s->submit, record[1] == 'N' ? "NOTIFY" : "ORCPT", value, len);
}

static void send_envelope(struct session *s)
{
  submit_from(&s->submit, s->sender, s->senderlen);
  if (s->eightbit) submit_extra(&s->submit, "BODY", "8BITMIME", 8);
  if (s->ret) submit_extra(&s->submit, "RET", s->ret == DSN_RET_FULL ? "FULL" : "HDRS", 4);
  if (s->envidlen) submit_extra(&s->submit, "ENVID", s->envid, s->envidlen);
  for (size_t i = 0; i < s->rcpts.len;) {
    size_t len = strlen(s->rcpts.s + i);
    send_record(s, s->rcpts.s + i, len);
    i += len + 1;
  }
}

/* Hand the message over. SUBMIT_OK alone becomes 250. */
static void commit(struct session *s, struct data const *d)
{
  struct answer a = { .kind = "accepted", .code = 250, .status = "2.0.0" };
  send_envelope(s);
  unsigned long long qp = (unsigned long long)s->submit.pid;
  enum submit_result r = submit_commit(&s->submit);
  s->queue = QUEUE_CLOSED;
  if (r == SUBMIT_OK) {
    if (s->submit.id) qp = s->submit.id;
    snprintf(a.text, sizeof a.text, "ok %lld qp %llu", (long long)time(0), qp);
    s->messages++;
    s->in_a_row = 0;
  } else {
    explain(&a, &s->submit, r == SUBMIT_PERMANENT);
  }
  finish(s, &a, r == SUBMIT_OK ? s->submit.id : 0, d->octets, 0);
}

static void reject(struct session *s, struct data const *d, struct answer const *a)
{
  char detail[160];
  snprintf(detail, sizeof detail, "bare LF %llu, bare CR %llu, NUL %llu, first at byte %llu",
           (unsigned long long)d->bare_lf, (unsigned long long)d->bare_cr,
           (unsigned long long)d->nul, (unsigned long long)d->first_bad);
  finish(s, a, 0, d->octets, data_is_bad(d) ? detail : 0);
}

/* Before 354: is the queue there, has it room, has the client waited? 1, or 0 after a reply. */
static int may_begin(struct session *s)
{
  struct answer a;
  if (s->queue == QUEUE_CLOSED) open_queue(s);
  int ok = s->queue != QUEUE_AWAY && submit_room(&s->submit);
  int ahead = ok ? session_is_ahead(s) : stream_is_pending(&s->io);
  if (!ok) {
    explain(&a, &s->submit, 0);
    send_answer(s, &a, 0, s->size, 0);
  }
  if (ahead) session_no_text(s);
  return ok && !ahead;
}

void receive_data(struct session *s)
{
  struct data d;
  struct answer a;
  if (may_begin(s)) {
    session_reply(s, 354, "", "go ahead");
    if (s->submit.program) write_received(s);
    data_start(&d, s->mend, store, s);
    if (mode.submission) submission_begin(s);
    if (read_text(s, &d)) {
      if (mode.submission && s->queue == QUEUE_OPEN) submission_end(s);
      if (is_unacceptable(s, &d, &a)) reject(s, &d, &a);
      else commit(s, &d);
    }
  }
  session_reset(s);
}
