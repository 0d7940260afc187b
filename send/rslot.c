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
  while (!sent(r, p->type == 'G' ? job_send_group(r->send, p->num, p->text, p->textlen)
                                 : job_send_class(r->send, p->num, p->letter, p->text, p->textlen)))
    ;
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

void rslot_begin(struct rslot *s, struct job const *j)
{
  s->num = j->num;
  s->idle = job_number(j, JOB_CONNIDLE, IDLE_SECONDS);
  s->nrcpts = s->left = j->nrcpts;
  memset(s->done, 0, sizeof s->done);
  tain_addsec_g(&s->until, seconds_for(j->length));
}

int rslot_result(struct rspawn *r, struct rslot *s, uint32_t index, char letter, char const *text,
                 size_t len)
{
  unsigned char bit = (unsigned char)(1u << index % 8);
  if (index >= s->nrcpts || !letter || !strchr("KZD", letter) || s->done[index / 8] & bit) return 0;
  s->done[index / 8] |= bit;
  s->left--;
  put_result(r, s->num, index, letter, text, len);
  return 1;
}

void rslot_end(struct rspawn *r, struct rslot *s, char const *text)
{
  for (uint32_t i = 0; s->left && i < s->nrcpts; i++)
    if (!(s->done[i / 8] >> i % 8 & 1)) rslot_result(r, s, i, 'Z', text, strlen(text));
  put_end(r, s->num);
}

void rslot_refuse(struct rspawn *r, struct job const *j, char const *text)
{
  struct rslot s = { .state = RSLOT_FREE };
  rslot_begin(&s, j);
  rslot_end(r, &s, text);
}
