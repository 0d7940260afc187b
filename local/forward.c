/* forward.c - queue a message again; see forward.h */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static int send_it(struct submit *s, struct delivery const *d, struct message const *m,
                   struct dotqmail const *q, size_t n, char const *sender, uint64_t *qp,
                   struct report *r)
{
  uint64_t size = d->dtline.len + m->length;
  if (!submit_open(s, SUBMIT_USE_PROGRAM | SUBMIT_WAIT, size, 0)) return refused(s, 0, r);
  uint64_t pid = s->program ? (uint64_t)s->pid : 0;
  if (!submit_room(s)) return refused(s, 0, r);
  if (!put_message(s, d, m)) {
    submit_abort(s);
    return report_fail(r, EXIT_TEMPORARY, "Unable to read message: %s. (#4.3.0)", strerror(errno));
  }
  submit_from(s, sender, strlen(sender));
  for (size_t i = 0; i < n; i++)
    if (q->list[i].kind == INSTRUCTION_FORWARD)
      submit_to(s, q->list[i].text, strlen(q->list[i].text));
  enum submit_result result = submit_commit(s);
  if (result != SUBMIT_OK) return refused(s, result == SUBMIT_PERMANENT, r);
  *qp = s->id ? s->id : pid;
  return 1;
}

int forward_send(struct delivery const *d, struct message const *m, struct dotqmail const *q,
                 size_t n, char const *sender, uint64_t *qp, struct report *r)
{
  struct submit s = SUBMIT_ZERO;
  int ok = send_it(&s, d, m, q, n, sender, qp, r);
  submit_close(&s);
  return ok;
}
