/* worker.c - deliver message after message to one address; see worker.h */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/strerr.h>

#include "dsn.h"
#include "job.h"
#include "perform.h"
#include "program.h"
#include "worker.h"

#define SENDER      6 /* its place among the arguments of a delivery */
#define TIDY_ONE_IN 8

/* What is not heard of is done again. */
static void tell_progress(void *data, char const *text, size_t len)
{
  struct job const *j = data;
  job_send_sofar(WORKER_SOCKET, j->num, 0, text, len);
}

/* What comes with the job besides the message. */
static void take_extras(struct perform *p, struct job const *j)
{
  struct wishes *w = &p->wishes;
  size_t pos = 0, len;
  w->message = job_message_extras(j, &w->messagelen);
  w->rcpt = job_rcpt_extras(j, 0, &pos, &w->rcptlen);
  char const *sofar = dsn_find(w->rcpt, w->rcptlen, JOB_SOFAR_NAME, &len);
  progress_begin(&p->progress, sofar, sofar ? len : 0);
}

/* 0 when the answer is the exit of this process. */
static int deliver(struct job *j, char const *const *args, struct perform const *how)
{
  char text[PERFORM_SUMMARY_MAX];
  char const *all[DELIVERY_ARGS];
  struct perform p = *how;
  p.tell = tell_progress;
  p.data = j;
  take_extras(&p, j);
  memcpy(all, args, SENDER * sizeof *all);
  all[SENDER] = j->sender;
  memcpy(all + SENDER + 1, args + SENDER, (WORKER_ARGS - SENDER) * sizeof *all);
  perform_begin(&p, all);
  perform_deliver(&p, j->body, j->fd, j->length);
  if (j->fd != -1) close(j->fd);
  size_t len = perform_summary(&p, text);
  int plain = perform_was_plain(&p);
  char note = perform_note(&p);
  perform_free(&p);
  if (plain) return job_send_result(WORKER_SOCKET, j->num, 0, 'K', text, len) == 1;
  if (note) job_send_note(WORKER_SOCKET, j->num, 0, note);
  allwrite(1, text, len);
  return 0;
}

/* As each delivery begins. One worker in TIDY_ONE_IN tidies, at its first: many have no other, and what lies there
 * does so for days. */
static void prepare(struct perform *p, struct worker_mailbox const *m)
{
  memset(p, 0, sizeof *p);
  p->maildir.tidy = getpid() % TIDY_ONE_IN == 0;
  if (!m) return;
  perform_mailbox(p);
  if (*m->quota) perform_quota(p, m->quota);
}

void worker_run(char const *const *args, struct worker_mailbox const *m)
{
  static struct job_packet p;
  struct perform all;
  int r;
  PROG = "pipit-local";
  perform_confine();
  prepare(&all, m);
  for (; (r = job_wait(WORKER_SOCKET, &p)) == 1 && (p.type == 'J' || p.type == 'M'); all.maildir.tidy = 0)
    if (!deliver(&p.job, args, &all)) _exit(0);
  if (r == -1 && errno == EPIPE) _exit(0);
  strerr_die(EXIT_TEMPORARY, "Unable to read a job. (#4.3.0)");
}
