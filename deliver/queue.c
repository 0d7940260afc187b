/* queue.c - hand a message to the queue; see helper.h */

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/strerr.h>

#include "control.h"
#include "date.h"
#include "helper.h"
#include "program.h"
#include "submit.h"

void queue_rewind(void)
{
  if (lseek(0, 0, SEEK_SET) == -1) strerr_diefusys(EXIT_TEMPORARY, "rewind the message");
}

static void failed(struct submit const *s, int permanent) __attribute__((noreturn));
static void failed(struct submit const *s, int permanent)
{
  strerr_dief(permanent ? EXIT_PERMANENT : EXIT_TEMPORARY, "unable to queue message: ", s->why);
}

/* Begin a message; the pid of QMAILQUEUE's program, or 0. */
static uint64_t begin(struct submit *s)
{
  if (!submit_open(s, SUBMIT_USE_PROGRAM | SUBMIT_WAIT, 0, 0)) failed(s, 0);
  uint64_t pid = s->program ? (uint64_t)s->pid : 0;
  if (!submit_room(s)) failed(s, 0);
  return pid;
}

static uint64_t end(struct submit *s, uint64_t pid)
{
  enum submit_result r = submit_commit(s);
  if (r != SUBMIT_OK) failed(s, r == SUBMIT_PERMANENT);
  submit_close(s);
  return s->id ? s->id : pid;
}

static void put_message(struct submit *s)
{
  char buf[16384];
  ssize_t n;
  while ((n = fd_read(0, buf, sizeof buf)) > 0) submit_message(s, buf, (size_t)n);
  if (n == -1) {
    submit_abort(s);
    strerr_diefusys(EXIT_TEMPORARY, "read the message");
  }
}

uint64_t queue_forward(char const *sender, stralloc const *rcpts)
{
  struct submit s = SUBMIT_ZERO;
  char const *dtline = helper_env("DTLINE");
  uint64_t pid = begin(&s);
  submit_message(&s, dtline, strlen(dtline));
  put_message(&s);
  submit_from(&s, sender, strlen(sender));
  for (size_t i = 0; i < rcpts->len;) {
    size_t len = strlen(rcpts->s + i);
    submit_to(&s, rcpts->s + i, len);
    i += len + 1;
  }
  return end(&s, pid);
}

uint64_t queue_notice(stralloc const *text, char const *rcpt)
{
  struct submit s = SUBMIT_ZERO;
  uint64_t pid = begin(&s);
  submit_message(&s, text->s, text->len);
  submit_from(&s, "", 0);
  submit_to(&s, rcpt, strlen(rcpt));
  return end(&s, pid);
}

void queue_stamp(stralloc *out)
{
  char date[DATE_MAX], id[DATE_ID_MAX];
  struct timespec now;
  stralloc host = STRALLOC_ZERO;
  if (control_line_or_me("idhost", &host) == -1) strerr_dief(EXIT_TEMPORARY, control_why());
  clock_gettime(CLOCK_REALTIME, &now);
  size_t n = date_rfc5322(date, now.tv_sec);
  helper_add(out, "Date: ", 6);
  helper_add(out, date, n);
  n = date_id(id, &now);
  helper_add(out, "\nMessage-ID: <", 14);
  helper_add(out, id, n);
  helper_add(out, "@", 1);
  helper_add(out, host.s, host.len);
  helper_add(out, ">\n", 2);
  stralloc_free(&host);
}

void queue_say(uint64_t qp)
{
  char line[128];
  int n = snprintf(line, sizeof line, "%s: qp %llu\n", PROG, (unsigned long long)qp);
  if (n > 0) allwrite(2, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}
