/* transact.c - one message in an SMTP or LMTP session; see transact.h */

#include <stdio.h>
#include <string.h>

#include <skalibs/uint64.h>

#include "limits.h"
#include "session.h"
#include "transact.h"

static void on_mail(struct transaction *t, struct smtpreply const *r)
{
  t->mail = r->code;
  if (r->code / 100 == 2) return;
  outcome_message_said(t->o, r->code >= 500 ? 'D' : 'Z', r,
                       "Connected to %s but sender was rejected.\n", t->c->name);
}

/* "Too many recipients" (RFC 5321, 4.5.3.1.10): 452, or 552 from old servers, after
 * one that was accepted; unless it says that a mailbox or the disk is full. */
static int is_one_too_many(struct transaction const *t, struct smtpreply const *r)
{
  int full = r->textlen > 9 && (!memcmp(r->text + 5, ".2.2", 4) || !memcmp(r->text + 5, ".3.1", 4));
  return (r->code == 452 || r->code == 552) && t->accepted && !full;
}

static void on_rcpt(struct transaction *t, size_t i, struct smtpreply const *r)
{
  struct envelope_rcpt *rcpt = t->e->rcpts + t->e->first + i;
  if (t->mail / 100 != 2) return;
  if (r->code / 100 == 2) {
    t->accepted++;
    t->o->rcpts[rcpt->index].letter = 'r';
    return;
  }
  int later = r->code < 500 || (r->code == 552 && (t->accepted || rcpt->put_off));
  rcpt->again = is_one_too_many(t, r) && t->e->splits < SPLITS_MAX;
  outcome_rcpt(t->o, rcpt->index, later ? 's' : 'h', r, "%s does not like recipient.\n",
               t->c->name);
}

static void on_data(struct transaction *t, struct smtpreply const *r)
{
  t->data = r->code;
  if (r->code == 354 || t->mail / 100 != 2 || !t->accepted) return;
  outcome_message_said(t->o, r->code >= 500 ? 'D' : 'Z', r, "%s failed on DATA command.\n",
                       t->c->name);
}

/* RSET, MAIL, RCPT..., DATA: which of them is answered, and does the answer fit? */
static int on_reply(void *arg, size_t i, struct smtpreply const *r)
{
  struct transaction *t = arg;
  size_t step = t->step++;
  (void)i;
  if (step < t->before) return r->code / 100 == 2;
  step -= t->before;
  if (r->code / 100 == 3 && step != t->e->count + 1) return 0;
  if (!step) on_mail(t, r);
  else if (step <= t->e->count) on_rcpt(t, step - 1, r);
  else if (r->code != 354 && r->code < 400) return 0;
  else on_data(t, r);
  return 1;
}

/* The sender of a bounce of a bounce is no address that an LMTP server would take. */
static int put_sender(struct transaction *t)
{
  static char const bounce[] = "#@[]";
  stralloc const *s = &t->e->sender;
  int none = t->c->lmtp && s->len == sizeof bounce - 1 && !memcmp(s->s, bounce, s->len);
  return stralloc_cats(&t->commands, "MAIL FROM:<") &&
         stralloc_catb(&t->commands, s->s, none ? 0 : s->len) && stralloc_append(&t->commands, '>');
}

static int put_mail(struct transaction *t)
{
  char size[sizeof " SIZE=" + UINT64_FMT];
  if (!put_sender(t)) return 0;
  if (t->c->size) {
    snprintf(size, sizeof size, " SIZE=%llu", (unsigned long long)t->m->output.octets);
    if (!stralloc_cats(&t->commands, size)) return 0;
  }
  if (t->c->eightbitmime && (t->e->body8 || t->m->output.eightbit) &&
      !stralloc_cats(&t->commands, " BODY=8BITMIME"))
    return 0;
  if (t->c->dsn && !stralloc_catb(&t->commands, t->e->params.s, t->e->params.len)) return 0;
  return stralloc_catb(&t->commands, "\r\n", 2);
}

static int put_rcpt(struct transaction *t, size_t i)
{
  char const *path = t->e->paths.s + t->e->rcpts[t->e->first + i].at;
  char const *params = path + strlen(path) + 1;
  return stralloc_cats(&t->commands, "RCPT TO:") && stralloc_cats(&t->commands, path) &&
         (!t->c->dsn || stralloc_cats(&t->commands, params)) &&
         stralloc_catb(&t->commands, "\r\n", 2);
}

static enum conn_status send_commands(struct transaction *t, size_t count, unsigned int stage)
{
  enum conn_status s = conn_exchange(t->c, t->commands.s + t->sent, t->commands.len - t->sent, count,
                                     settings_stage(t->s, stage), on_reply, t);
  t->commands.len = t->sent = 0;
  return s;
}

static enum conn_status no_memory(struct transaction *t)
{
  outcome_message(t->o, 'Z', "Out of memory. (#4.3.0)\n");
  return CONN_DIED;
}

/* Everything up to DATA. */
static int put_all(struct transaction *t)
{
  int ok = put_mail(t);
  for (size_t i = 0; ok && i < t->e->count; i++) ok = put_rcpt(t, i);
  return ok && stralloc_cats(&t->commands, "DATA\r\n");
}

/* In one write, or behind the message before. */
static enum conn_status envelope_at_once(struct transaction *t)
{
  if (!t->ahead && !put_all(t)) return no_memory(t);
  return send_commands(t, t->before + t->e->count + 2, STAGE_ENVELOPE);
}

/* Each command after the answer to the one before; DATA only if a recipient was accepted. */
static enum conn_status envelope_in_steps(struct transaction *t)
{
  enum conn_status s = CONN_OK;
  if (t->before) s = send_commands(t, 1, STAGE_ENVELOPE);
  if (s != CONN_OK) return s;
  if (!put_mail(t)) return no_memory(t);
  s = send_commands(t, 1, STAGE_ENVELOPE);
  for (size_t i = 0; s == CONN_OK && t->mail / 100 == 2 && i < t->e->count; i++)
    s = put_rcpt(t, i) ? send_commands(t, 1, STAGE_ENVELOPE) : no_memory(t);
  if (s != CONN_OK || !t->accepted) return s;
  if (!stralloc_cats(&t->commands, "DATA\r\n")) return no_memory(t);
  return send_commands(t, 1, STAGE_DATA);
}

static int on_end(void *arg, size_t i, struct smtpreply const *r)
{
  (void)arg, (void)i;
  return r->code / 100 != 3;
}

/* LMTP (RFC 2033, 4.2): a reply for each recipient that was accepted, in their order. */
static int on_delivered(void *arg, size_t i, struct smtpreply const *r)
{
  struct transaction *t = arg;
  size_t index;
  (void)i;
  if (r->code / 100 == 3) return 0;
  do index = t->e->rcpts[t->e->first + t->judged++].index;
  while (t->o->rcpts[index].letter != 'r');
  if (r->code / 100 == 2) outcome_rcpt(t->o, index, 'K', r, "%s accepted message.\n", t->c->name);
  else
    outcome_rcpt(t->o, index, r->code >= 500 ? 'h' : 's', r,
                 "%s failed after I sent the message.\n", t->c->name);
  return 1;
}

/* The last block of the message, and the commands of the transaction that comes next. */
static enum conn_status send_end(struct transaction *t, transact_next_func *next, void *arg)
{
  struct transaction *n = next && t->c->pipelining ? next(arg) : 0;
  size_t sent = n ? n->commands.len : 0;
  enum conn_status s =
      conn_end(t->c, t->m->out, t->m->outlen, n ? n->commands.s : 0, &sent,
               t->c->lmtp ? t->accepted : 1, settings_stage(t->s, STAGE_BLOCK),
               settings_stage(t->s, STAGE_END), t->c->lmtp ? on_delivered : on_end, t);
  if (n) {
    n->ahead = 1;
    n->sent = sent;
  }
  return s;
}

/* The message, up to and with the end. <*ended> is set before the end is sent. */
static enum conn_status send_message(struct transaction *t, int *ended, transact_next_func *next,
                                     void *arg)
{
  message_rewind(t->m);
  for (;;) {
    int r = message_next(t->m);
    if (!r) {
      outcome_message(t->o, 'Z', "Unable to read message. (#4.3.0)\n");
      return CONN_DIED;
    }
    t->text = 1;
    *ended = r == 2;
    if (*ended) return send_end(t, next, arg);
    enum conn_status s =
        conn_write(t->c, t->m->out, t->m->outlen, settings_stage(t->s, STAGE_BLOCK));
    if (s != CONN_OK) return s;
  }
}

/* Nobody has the message. */
static void say_nobody(struct transaction *t)
{
  outcome_message(t->o, 'D', "Giving up on %s.\n", t->c->name);
}

static void judge_end(struct transaction *t)
{
  struct smtpreply const *r = &t->c->reply;
  if (t->c->lmtp) say_nobody(t); /* or else outcome_finish knows better */
  else if (r->code / 100 == 2)
    outcome_message_said(t->o, 'K', r, "%s accepted message.\n", t->c->name);
  else
    outcome_message_said(t->o, r->code >= 500 ? 'D' : 'Z', r,
                         "%s failed after I sent the message.\n", t->c->name);
}

/* The server wants data although it refused every recipient: RFC 2920, 3.1. */
static void send_nothing(struct transaction *t)
{
  conn_exchange(t->c, ".\r\n", 3, !t->c->lmtp, settings_stage(t->s, STAGE_END), on_end, t);
  session_end(t->c);
}

/* The envelope has its answers: go on with the message, where there is a recipient for it. */
static enum conn_status after_envelope(struct transaction *t, transact_next_func *next, void *arg)
{
  int ended = 0;
  t->c->dirty = 1;
  if (t->mail / 100 == 2 && !t->accepted) say_nobody(t);
  if (t->mail / 100 != 2 || !t->accepted) {
    if (t->data == 354) send_nothing(t);
    return CONN_OK;
  }
  if (t->data != 354) return CONN_OK;
  t->o->dsn = t->c->dsn;
  t->o->final = t->c->lmtp;
  enum conn_status s = send_message(t, &ended, next, arg);
  if (s == CONN_OK) {
    t->c->dirty = 0;
    judge_end(t);
  } else if (!t->o->message.letter) {
    session_broke(t->c, s, ended, t->o);
  }
  return s;
}

/* What is known before anything is sent. 1 go on; 0 the verdict is there. */
static int check_message(struct transaction *t)
{
  if ((t->c->size || t->c->eightbitmime) && !message_measure(t->m)) {
    outcome_message(t->o, 'Z', "Unable to read message. (#4.3.0)\n");
    return 0;
  }
  if (!t->c->sizelimit || t->m->output.octets <= t->c->sizelimit) return 1;
  outcome_message(t->o, 'D',
                  "Sorry, that message is too large for %s: it takes up to %llu bytes. (#5.3.4)\n",
                  t->c->name, (unsigned long long)t->c->sizelimit);
  return 0;
}

int transact_prepare(struct transaction *t)
{
  return check_message(t) && put_all(t);
}

enum transact_result transact(struct transaction *t, transact_next_func *next, void *arg)
{
  struct conn *c = t->c;
  int lost = 0;
  if (!t->ahead && !check_message(t)) return TRANSACT_DONE;
  c->messages++;
  t->before = c->dirty != 0;
  enum conn_status status = CONN_OK;
  if (t->before && !stralloc_cats(&t->commands, "RSET\r\n")) status = no_memory(t);
  if (status == CONN_OK) status = c->pipelining ? envelope_at_once(t) : envelope_in_steps(t);
  if (status == CONN_OK) status = after_envelope(t, next, arg);
  else if (!t->o->message.letter) {
    lost = !t->fresh;
    session_broke(c, status, 0, t->o);
  }
  if (status != CONN_OK) conn_close(c);
  if (!t->mail || lost) return TRANSACT_LOST;
  return t->mail / 100 == 4 ? TRANSACT_LATER : TRANSACT_DONE;
}
