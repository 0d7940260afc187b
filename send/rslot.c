/* rslot.c - results on their way to send; see rslot.h */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/iopause.h>
#include <skalibs/strerr.h>

#include "program.h"
#include "rslot.h"
#include "../remote/limits.h"

#define SEND_SECONDS 600 /* that send may leave its socket full */

/* send's socket is full: wait until it reads. Nothing is lost meanwhile: the
 * workers go on, and their answers wait in their sockets. */
static void wait_for_send(struct rspawn *r)
{
  iopause_fd x = { .fd = r->send, .events = IOPAUSE_WRITE };
  tain deadline;
  tain_addsec_g(&deadline, SEND_SECONDS);
  if (iopause_g(&x, 1, &deadline) <= 0)
    strerr_dief1x(EXIT_TEMPORARY, "send does not read its results");
}

/* Judge the return value of a job_send function. 1 sent; 0 again. */
static int sent(struct rspawn *r, int result)
{
  if (result == 1) return 1;
  if (result == -1 && errno == EPIPE) _exit(0); /* send has gone: so do we */
  if (result == -1) strerr_diefu1sys(EXIT_TEMPORARY, "write to send");
  wait_for_send(r);
  return 0;
}

static void put_result(struct rspawn *r, uint32_t num, uint32_t index, char letter,
                       char const *text, size_t len)
{
  while (!sent(r, job_send_result(r->send, num, index, letter, text, len)))
    ;
}

void rslot_about(struct rspawn *r, struct job_packet const *p)
{
  int done = 0;
  while (!done)
    switch (p->type) {
    case 'G': done = sent(r, job_send_group(r->send, p->num, p->text, p->textlen)); break;
    case 'T': done = sent(r, job_send_tls(r->send, p->num, p->text, p->textlen)); break;
    default: done = sent(r, job_send_class(r->send, p->num, p->letter, p->text, p->textlen));
    }
}

static void put_end(struct rspawn *r, uint32_t num)
{
  while (!sent(r, job_send_end(r->send, num)))
    ;
}

static int seconds_for(uint64_t length)
{
  uint64_t s = JOB_SECONDS + length / JOB_RATE + JOB_GRACE;
  return s < INT32_MAX ? (int)s : INT32_MAX;
}

/* The first job has its turn. */
static void begin(struct rslot *s)
{
  tain_addsec_g(&s->until, s->jobs->seconds);
  tain_copynow(&s->since);
}

void rslot_add(struct rslot *s, struct job const *j)
{
  struct rjob *n = s->jobs + s->njobs++;
  n->num = j->num;
  n->nrcpts = n->left = j->nrcpts;
  n->seconds = seconds_for(j->length);
  memset(n->done, 0, sizeof n->done);
  if (s->njobs == 1) begin(s);
}

int rslot_result(struct rspawn *r, struct rslot *s, uint32_t index, char letter, char const *text,
                 size_t len)
{
  struct rjob *j = s->jobs;
  unsigned char bit = (unsigned char)(1u << index % 8);
  if (index >= j->nrcpts || !letter || !strchr("KZD", letter) || j->done[index / 8] & bit) return 0;
  j->done[index / 8] |= bit;
  j->left--;
  put_result(r, j->num, index, letter, text, len);
  return 1;
}

int rslot_note(struct rspawn *r, struct rslot *s, uint32_t index, char note)
{
  struct rjob const *j = s->jobs;
  if (index >= j->nrcpts || j->done[index / 8] >> index % 8 & 1) return 0;
  if (note != JOB_PASSED && note != JOB_FINAL) return 0;
  while (!sent(r, job_send_note(r->send, j->num, index, note)))
    ;
  return 1;
}

void rslot_drop(struct rslot *s, uint32_t num)
{
  unsigned int i = 0;
  while (i < s->njobs && s->jobs[i].num != num) i++;
  if (i == s->njobs) return;
  memmove(s->jobs + i, s->jobs + i + 1, (--s->njobs - i) * sizeof *s->jobs);
  if (!i && s->njobs) begin(s);
}

void rslot_end(struct rspawn *r, struct rslot *s, char const *text)
{
  struct rjob *j = s->jobs;
  for (uint32_t i = 0; j->left && i < j->nrcpts; i++)
    if (!(j->done[i / 8] >> i % 8 & 1)) rslot_result(r, s, i, 'Z', text, strlen(text));
  put_end(r, j->num);
  rslot_drop(s, j->num);
}

void rslot_refuse(struct rspawn *r, struct job const *j, char const *text)
{
  struct rslot s = { .state = RSLOT_FREE };
  rslot_add(&s, j);
  rslot_end(r, &s, text);
}
