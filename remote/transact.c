/* transact.c - one message in an SMTP session; see transact.h */

#include <stdio.h>
#include <string.h>

#include <skalibs/uint64.h>

#include "limits.h"
#include "session.h"
#include "transact.h"

struct transaction {
  struct conn *c;
  struct settings const *s;
  struct envelope const *e;
  struct message *m;
  struct outcome *o;
  stralloc commands;
  size_t before;   /* 1: RSET is the first command */
  size_t step;     /* commands that were answered */
  int mail;        /* code of the answer to MAIL, 0 before it */
  int data;        /* of the answer to DATA */
  size_t accepted; /* recipients */
};

static void on_mail(struct transaction *t, struct smtpreply const *r)
{
  t->mail = r->code;
  if (r->code / 100 == 2) return;
  outcome_message_said(t->o, r->code >= 500 ? 'D' : 'Z', r,
                       "Connected to %s but sender was rejected.\n", t->c->name);
}

/* 552 after an accepted recipient is an old server's "too many recipients"
 * (RFC 5321, 4.5.3.1.10): the rest gets another turn. */
static void on_rcpt(struct transaction *t, size_t i, struct smtpreply const *r)
{
  size_t index = t->e->index[i];
  int later = r->code < 500 || (r->code == 552 && t->accepted);
  if (t->mail / 100 != 2) return;
  if (r->code / 100 == 2) {
    t->accepted++;
    t->o->rcpts[index].letter = 'r';
  } else {
    outcome_rcpt(t->o, index, later ? 's' : 'h', r, "%s does not like recipient.\n", t->c->name);
  }
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
  if (r->code / 100 == 3 && step != t->e->nrcpts + 1) return 0;
  if (!step) on_mail(t, r);
  else if (step <= t->e->nrcpts) on_rcpt(t, step - 1, r);
  else if (r->code != 354 && r->code < 400) return 0;
  else on_data(t, r);
  return 1;
}

static int put_mail(struct transaction *t)
{
  char size[sizeof " SIZE=" + UINT64_FMT];
  if (!stralloc_cats(&t->commands, "MAIL FROM:<") ||
      !stralloc_catb(&t->commands, t->e->sender.s, t->e->sender.len) ||
      !stralloc_append(&t->commands, '>'))
    return 0;
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

static int put_rcpt(struct transaction *t, char const *path)
{
  char const *params = strchr(path, '\n');
  return stralloc_cats(&t->commands, "RCPT TO:") &&
         stralloc_catb(&t->commands, path, (size_t)(params - path)) &&
         (!t->c->dsn || stralloc_cats(&t->commands, params + 1)) &&
         stralloc_catb(&t->commands, "\r\n", 2);
}

static enum conn_status send_commands(struct transaction *t, size_t count, unsigned int stage)
{
  enum conn_status s = conn_exchange(t->c, t->commands.s, t->commands.len, count,
                                     settings_stage(t->s, stage), on_reply, t);
  t->commands.len = 0;
  return s;
}

static enum conn_status no_memory(struct transaction *t)
{
  outcome_message(t->o, 'Z', "Out of memory. (#4.3.0)\n");
  return CONN_DIED;
}

/* Everything up to DATA in one write. */
static enum conn_status envelope_at_once(struct transaction *t)
{
  char const *path = t->e->rcpts.s;
  int ok = put_mail(t);
  for (size_t i = 0; ok && i < t->e->nrcpts; i++, path += strlen(path) + 1) ok = put_rcpt(t, path);
  if (!ok || !stralloc_cats(&t->commands, "DATA\r\n")) return no_memory(t);
  return send_commands(t, t->before + t->e->nrcpts + 2, STAGE_ENVELOPE);
}

/* Each command after the answer to the one before; DATA only if a recipient was accepted. */
static enum conn_status envelope_in_steps(struct transaction *t)
{
  char const *path = t->e->rcpts.s;
  enum conn_status s = CONN_OK;
  if (t->before) s = send_commands(t, 1, STAGE_ENVELOPE);
  if (s != CONN_OK) return s;
  if (!put_mail(t)) return no_memory(t);
  s = send_commands(t, 1, STAGE_ENVELOPE);
  for (size_t i = 0; s == CONN_OK && t->mail / 100 == 2 && i < t->e->nrcpts;
       i++, path += strlen(path) + 1)
    s = put_rcpt(t, path) ? send_commands(t, 1, STAGE_ENVELOPE) : no_memory(t);
  if (s != CONN_OK || !t->accepted) return s;
  if (!stralloc_cats(&t->commands, "DATA\r\n")) return no_memory(t);
  return send_commands(t, 1, STAGE_DATA);
}

static int on_end(void *arg, size_t i, struct smtpreply const *r)
{
  (void)arg, (void)i;
  return r->code / 100 != 3;
}

/* The message, up to and with the end. <*ended> is set before the end is sent. */
static enum conn_status send_message(struct transaction *t, int *ended)
{
  enum conn_status s = CONN_OK;
  message_rewind(t->m);
  while (s == CONN_OK && !*ended) {
    int r = message_next(t->m);
    if (!r) {
      outcome_message(t->o, 'Z', "Unable to read message. (#4.3.0)\n");
      return CONN_DIED;
    }
    *ended = r == 2;
    s = conn_write(t->c, t->m->out, t->m->outlen, settings_stage(t->s, STAGE_BLOCK));
  }
  if (s != CONN_OK) return s;
  return conn_exchange(t->c, 0, 0, 1, settings_stage(t->s, STAGE_END), on_end, t);
}

static void judge_end(struct transaction *t)
{
  struct smtpreply const *r = &t->c->reply;
  t->o->dsn = t->c->dsn;
  if (r->code / 100 == 2) outcome_message_said(t->o, 'K', r, "%s accepted message.\n", t->c->name);
  else
    outcome_message_said(t->o, r->code >= 500 ? 'D' : 'Z', r,
                         "%s failed after I sent the message.\n", t->c->name);
}

/* The server wants data although it refused every recipient: RFC 2920, 3.1. */
static void send_nothing(struct transaction *t)
{
  conn_exchange(t->c, ".\r\n", 3, 1, settings_stage(t->s, STAGE_END), on_end, t);
  session_end(t->c);
}

/* The envelope has its answers: go on with the message, where there is a recipient for it. */
static enum conn_status after_envelope(struct transaction *t)
{
  int ended = 0;
  t->c->dirty = 1;
  if (t->mail / 100 == 2 && !t->accepted)
    outcome_message(t->o, 'D', "Giving up on %s.\n", t->c->name);
  if (t->mail / 100 != 2 || !t->accepted) {
    if (t->data == 354) send_nothing(t);
    return CONN_OK;
  }
  if (t->data != 354) return CONN_OK;
  enum conn_status s = send_message(t, &ended);
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

enum transact_result transact(struct conn *c, struct settings const *s, struct envelope const *e,
                              struct message *m, struct outcome *o)
{
  struct transaction t = { .c = c, .s = s, .e = e, .m = m, .o = o, .commands = STRALLOC_ZERO };
  if (!check_message(&t)) return TRANSACT_DONE;
  c->messages++;
  t.before = c->dirty != 0;
  enum conn_status status = CONN_OK;
  if (t.before && !stralloc_cats(&t.commands, "RSET\r\n")) status = no_memory(&t);
  if (status == CONN_OK) status = c->pipelining ? envelope_at_once(&t) : envelope_in_steps(&t);
  if (status == CONN_OK) status = after_envelope(&t);
  else if (!o->message.letter) session_broke(c, status, 0, o);
  if (status != CONN_OK) conn_close(c);
  stralloc_free(&t.commands);
  if (!t.mail) return TRANSACT_LOST;
  return t.mail / 100 == 4 ? TRANSACT_LATER : TRANSACT_DONE;
}
