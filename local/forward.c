/* forward.c - queue a message again; see forward.h */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dsn.h"
#include "forward.h"
#include "program.h"
#include "submit.h"

static int refused(struct submit const *s, int permanent, struct report *r)
{
  return report_fail(r, permanent ? EXIT_PERMANENT : EXIT_TEMPORARY,
                     "Unable to forward message: %s.", s->why);
}

/* Hand the message over; 1, or 0 with errno when it cannot be read. */
static int put_message(struct submit *s, struct delivery const *d, struct message const *m)
{
  char buf[16384];
  submit_message(s, d->dtline.s, d->dtline.len);
  for (uint64_t at = 0; at < m->length;) {
    ssize_t n = pread(m->fd, buf, sizeof buf, (off_t)at);
    if (n <= 0) return n ? 0 : (errno = EIO, 0);
    submit_message(s, buf, (size_t)n);
    at += (uint64_t)n;
  }
  return 1;
}

/* The sender's wish by this name in extras[0..len), as it is. */
static void put_wish(struct submit *s, char const *extras, size_t len, char const *name)
{
  size_t n;
  char const *value = dsn_find(extras, len, name, &n);
  if (value) submit_extra(s, name, value, n);
}

static void put_notify(struct submit *s, struct forward const *f)
{
  char value[DSN_NOTIFY_MAX];
  unsigned int notify = dsn_find_notify(f->wishes.rcpt, f->wishes.rcptlen);
  if (!notify) return;
  if (f->kind != FORWARD_ALIAS) notify &= ~DSN_SUCCESS;
  dsn_notify_put(value, notify ? notify : DSN_NEVER);
  submit_extra(s, "NOTIFY", value, strlen(value));
}

static void put_envelope(struct submit *s, struct forward const *f)
{
  struct wishes const *w = &f->wishes;
  submit_from(s, f->sender, strlen(f->sender));
  put_wish(s, w->message, w->messagelen, "BODY");
  if (f->kind != FORWARD_LIST) {
    put_wish(s, w->message, w->messagelen, "RET");
    put_wish(s, w->message, w->messagelen, "ENVID");
  }
  for (size_t i = 0; i < f->n; i++) {
    struct instruction const *to = f->q->list + i;
    if (to->kind != INSTRUCTION_FORWARD) continue;
    if (f->kind != FORWARD_LIST) {
      put_notify(s, f);
      put_wish(s, w->rcpt, w->rcptlen, "ORCPT");
    }
    submit_to(s, to->text, strlen(to->text));
  }
}

static int send_it(struct submit *s, struct forward const *f, uint64_t *qp, int *passed,
                   struct report *r)
{
  uint64_t size = f->d->dtline.len + f->m->length;
  if (!submit_open(s, SUBMIT_USE_PROGRAM | SUBMIT_WAIT, size, 0)) return refused(s, 0, r);
  uint64_t pid = s->program ? (uint64_t)s->pid : 0;
  *passed = !s->program;
  if (!submit_room(s)) return refused(s, 0, r);
  if (!put_message(s, f->d, f->m)) {
    submit_abort(s);
    return report_fail(r, EXIT_TEMPORARY, "Unable to read message: %s. (#4.3.0)", strerror(errno));
  }
  put_envelope(s, f);
  enum submit_result result = submit_commit(s);
  if (result != SUBMIT_OK) return refused(s, result == SUBMIT_PERMANENT, r);
  *qp = s->id ? s->id : pid;
  return 1;
}

int forward_send(struct forward const *f, uint64_t *qp, int *passed, struct report *r)
{
  struct submit s = SUBMIT_ZERO;
  int ok = send_it(&s, f, qp, passed, r);
  submit_close(&s);
  return ok;
}
