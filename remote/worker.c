/* worker.c - take job after job from pipit-rspawn; see worker.h */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/iopause.h>
#include <skalibs/strerr.h>
#include <skalibs/tai.h>

#include "deliver.h"
#include "job.h"
#include "program.h"
#include "worker.h"

static struct link link_now = LINK_ZERO; /* too large for the stack */

/* Wait until <sock> can be written to. rspawn always reads, unless it is gone. */
static int wait_writable(int sock)
{
  iopause_fd x = { .fd = sock, .events = IOPAUSE_WRITE };
  return iopause_g(&x, 1, &tain_infinite) > 0;
}

static int answer(int sock, uint32_t num, struct outcome const *o, size_t i)
{
  char const *text;
  size_t len;
  char letter = outcome_of(o, i, &text, &len);
  int r;
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

struct asked { /* of which job are the mail exchangers */
  int sock;
  uint32_t num;
};

/* Where that cannot be told, the results cannot either: they find out. */
static void on_group(void *arg, char const *name)
{
  struct asked const *a = arg;
  while (!job_send_group(a->sock, a->num, name, strlen(name)) && wait_writable(a->sock))
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

/* One job. 0 when rspawn is gone. */
static int do_job(int sock, struct job const *j, struct outcome *o)
{
  struct asked asked = { sock, j->num };
  o->nrcpts = 0;
  link_now.on_group = on_group;
  link_now.arg = &asked;
  deliver(&link_now, j, o);
  close(j->fd);
  if (o->nrcpts != j->nrcpts) return answer_nothing(sock, j) && end_job(sock, j->num);
  int ok = tell_class(sock, j->num, o);
  for (size_t i = 0; ok && i < o->nrcpts; i++) ok = answer(sock, j->num, o, i);
  return ok && end_job(sock, j->num);
}

/* Wait for a job, and meanwhile for the server to close the connection or to
 * say 421: either way it is dropped, and the next job gets a new one. */
static int wait_for_job(int sock)
{
  for (;;) {
    iopause_fd x[2] = { { .fd = sock, .events = IOPAUSE_READ },
                        { .fd = link_now.conn.fd, .events = IOPAUSE_READ } };
    if (iopause_g(x, link_now.conn.fd == -1 ? 1 : 2, &tain_infinite) == -1) return 0;
    if (link_now.conn.fd != -1 && x[1].revents) deliver_drop(&link_now);
    if (x[0].revents) return 1;
  }
}

int worker_run(int sock)
{
  static struct job_packet p;
  struct outcome o = OUTCOME_ZERO;
  while (wait_for_job(sock)) {
    int r = job_recv(sock, &p);
    if (!r) continue;
    if (r == -1 && errno == EPIPE) {
      deliver_quit(&link_now);
      return 0;
    }
    if (r == -1) strerr_diefu1sys(EXIT_TEMPORARY, "read a job");
    if (p.type != 'J') strerr_dief1x(EXIT_TEMPORARY, "this packet is no job");
    if (!do_job(sock, &p.job, &o)) break;
  }
  return EXIT_TEMPORARY;
}
