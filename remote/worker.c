/* worker.c - take job after job from pipit-rspawn; see worker.h */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/iopause.h>
#include <skalibs/strerr.h>
#include <skalibs/tai.h>

#include "deliver.h"
#include "dsn.h"
#include "job.h"
#include "limits.h"
#include "program.h"
#include "worker.h"

/* Too large for the stack. */
static struct link link_now;
static struct job_packet packets[WORKS];

static uint32_t idle = IDLE_SECONDS; /* that the connection is kept */

/* Take a job, if there is one. 1 it is in <p>, 0 there is none now, -1 the socket has ended. */
static int take(int sock, struct job_packet *p)
{
  int r = job_recv(sock, p);
  if (r == -1 && errno == EPIPE) return -1;
  if (r == -1) strerr_diefu1sys(EXIT_TEMPORARY, "read a job");
  if (r && p->type != 'J') strerr_dief1x(EXIT_TEMPORARY, "this packet is no job");
  return r;
}

/* The next job, while the present one is being sent (deliver_take_func). */
static int take_ahead(void *arg, struct job const **j)
{
  struct job_packet *p = packets + (link_now.now->job == &packets->job);
  *j = &p->job;
  return take(*(int *)arg, p) == 1;
}

/* Wait until <sock> can be written to. rspawn always reads, unless it is gone. */
static int wait_writable(int sock)
{
  iopause_fd x = { .fd = sock, .events = IOPAUSE_WRITE };
  return iopause_g(&x, 1, &tain_infinite) > 0;
}

/* Tell that no "relayed" notice is due: the server asked will tell of the delivery itself, or this
 * was the delivery. */
static int note_success(int sock, uint32_t num, struct outcome const *o, size_t i)
{
  int r;
  if (!o->dsn && !o->final) return 1;
  while (!(r = job_send_note(sock, num, (uint32_t)i, o->dsn ? JOB_PASSED : JOB_FINAL)))
    if (!wait_writable(sock)) return 0;
  return r == 1;
}

static int answer(int sock, uint32_t num, struct outcome const *o, size_t i, unsigned int notify)
{
  char const *text;
  size_t len;
  char letter = outcome_of(o, i, &text, &len);
  int r;
  if (letter == 'K' && notify & DSN_SUCCESS && !note_success(sock, num, o, i)) return 0;
  while (!(r = job_send_result(sock, num, (uint32_t)i, letter, text, len)))
    if (!wait_writable(sock)) return 0;
  return r == 1;
}

/* Without memory for the verdicts every recipient has to wait. */
static int answer_nothing(int sock, struct job const *j)
{
  static char const text[] = "Out of memory. (#4.3.0)\n";
  int r = 1;
  for (uint32_t i = 0; r == 1 && i < j->nrcpts; i++)
    while (!(r = job_send_result(sock, j->num, i, 'Z', text, sizeof text - 1)))
      if (!wait_writable(sock)) return 0;
  return r == 1;
}

static int end_job(int sock, uint32_t num)
{
  int r;
  while (!(r = job_send_end(sock, num)))
    if (!wait_writable(sock)) return 0;
  return r == 1;
}

/* Where that cannot be told, the results cannot either: they find out. */
static void on_group(void *arg, uint32_t num, char const *name)
{
  int sock = *(int *)arg;
  while (!job_send_group(sock, num, name, strlen(name)) && wait_writable(sock))
    ;
}

static int tell_class(int sock, uint32_t num, struct outcome const *o)
{
  int r = 1;
  char const *text = o->text.s + o->message.at;
  if (!o->trouble) return 1;
  while (!(r = job_send_class(sock, num, o->trouble, text, o->message.len)))
    if (!wait_writable(sock)) return 0;
  return r == 1;
}

static int tell_tls(int sock, uint32_t num, struct outcome const *o)
{
  int r = 1;
  if (!o->tls || !*o->tls) return 1;
  while (!(r = job_send_tls(sock, num, o->tls, strlen(o->tls))))
    if (!wait_writable(sock)) return 0;
  return r == 1;
}

static int answer_all(int sock, struct job const *j, struct outcome const *o)
{
  size_t pos = 0;
  size_t len;
  int ok = tell_class(sock, j->num, o) && tell_tls(sock, j->num, o);
  for (uint32_t i = 0; ok && i < j->nrcpts; i++) {
    char const *extras = job_rcpt_extras(j, i, &pos, &len);
    ok = answer(sock, j->num, o, i, dsn_find_notify(extras, len));
  }
  return ok;
}

/* The job <j>, or the one that was taken already. 0 when rspawn is gone. */
static int do_job(int sock, struct job const *j)
{
  struct work const *w = deliver(&link_now, j);
  struct outcome const *o = &w->outcome;
  j = w->job;
  idle = job_number(j, JOB_CONNIDLE, link_now.settings.idle);
  close(j->fd);
  int ok = o->nrcpts == j->nrcpts ? answer_all(sock, j, o) : answer_nothing(sock, j);
  return ok && end_job(sock, j->num);
}

/* Wait for a job, and meanwhile for the server to close the connection or to
 * say 421: either way it is dropped, and the next job gets a new one. 1 there is a
 * job, or the end of the socket; 0 it took too long. */
static int wait_for_job(int sock)
{
  tain deadline;
  tain_now_g();
  tain_addsec_g(&deadline, (int)(idle < IDLE_MAX ? idle : IDLE_MAX));
  for (;;) {
    iopause_fd x[2] = { { .fd = sock, .events = IOPAUSE_READ },
                        { .fd = link_now.conn.fd, .events = IOPAUSE_READ } };
    int r = iopause_g(x, link_now.conn.fd == -1 ? 1 : 2, &deadline);
    if (r <= 0) return 0;
    if (link_now.conn.fd != -1 && x[1].revents) deliver_drop(&link_now);
    if (x[0].revents) return 1;
  }
}

int worker_run(int sock)
{
  int r = 1;
  link_init(&link_now);
  link_now.take = take_ahead;
  link_now.on_group = on_group;
  link_now.arg = &sock;
  while (r != -1 && wait_for_job(sock)) {
    r = take(sock, packets);
    if (r != 1) continue;
    do
      if (!do_job(sock, &packets->job)) return EXIT_TEMPORARY;
    while (link_now.next);
  }
  deliver_quit(&link_now);
  return 0;
}
