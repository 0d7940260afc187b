/* compose.c - the job for some recipients of a message; see compose.h */

#include <stdio.h>
#include <string.h>

#include <skalibs/uint32.h>

#include "address.h"
#include "clock.h"
#include "compose.h"
#include "send.h"

#define JOB_RESERVE 8192 /* bytes of a packet for the numbers, the host, the sender */
#define INDEX_SIZE  12   /* bytes of "#<index>" and its NUL, at most */

_Static_assert(JOB_BODY_MAX + 2 * JOB_RESERVE <= JOB_PACKET_MAX, "a body and all else must fit");

/* May <r> go with <first>, in one job? */
static int goes_along(struct rcpt const *first, struct rcpt const *r)
{
  return !first->sender && !r->sender;
}

/* Bytes of a recipient's extras in a job, with the index before them. */
static size_t extras_size(struct rcpt const *r)
{
  return r->extraslen ? r->extraslen + INDEX_SIZE : 0;
}

uint32_t compose_share(struct batch const *b, enum channel channel, size_t *bytes)
{
  uint32_t n = 0;
  uint32_t max = channel == CHANNEL_LOCAL ? 1 : JOB_SHARE;
  size_t room = JOB_PACKET_MAX - JOB_RESERVE;
  size_t extras = 0;
  *bytes = 0;
  for (struct rcpt *r = b->first; r && n < max; r = r->next, n++) {
    size_t more = r->addrlen + 1 + extras_size(r);
    if (n && (!goes_along(b->first, r) || *bytes + extras + more > room)) break;
    *bytes += r->addrlen + 1;
    extras += extras_size(r);
  }
  return n;
}

/* Append the extras of the <n> recipients from <r>, as lib/job.h has them. 1, or 0 with ENOMEM. */
static int add_extras(stralloc *text, struct rcpt const *r, uint32_t n)
{
  char index[INDEX_SIZE];
  for (uint32_t i = 0; i < n; i++, r = r->next) {
    if (!r->extraslen) continue;
    int len = snprintf(index, sizeof index, "#%u", i);
    if (!stralloc_catb(text, index, (size_t)len + 1) ||
        !stralloc_catb(text, r->extras, r->extraslen))
      return 0;
  }
  return 1;
}

static int add_limit(stralloc *text, char const *name, uint32_t value)
{
  char fmt[UINT32_FMT];
  return stralloc_cats(text, name) &&
         stralloc_catb(text, fmt, value ? uint32_fmt(fmt, value) : 0) && stralloc_0(text);
}

/* What a worker has to know about the connection. Before what the message brings along, and each of
 * them, be it empty: the first one of a name counts. */
static int add_connection(stralloc *text, struct dest const *t, char const *sender)
{
  struct limits const *l = &t->group->limits;
  return t->channel == CHANNEL_LOCAL ||
         (add_limit(text, JOB_CONNMESSAGES, l->connmessages) &&
          add_limit(text, JOB_CONNIDLE, l->connidle) &&
          dest_extras(t, sender, clock_ms(), text));
}

int compose_job(struct job *j, struct batch const *b, uint32_t n, size_t bytes, stralloc *text)
{
  struct rcpt *r = b->first;
  struct msg *m = b->msg;
  size_t at = address_at(r->addr, r->addrlen);
  char const *sender = r->sender ? r->sender : m->sender.s;
  if (!add_connection(text, b->dest, sender) ||
      !stralloc_catb(text, m->extras.s, m->extras.len) || !add_extras(text, r, n))
    return 0;
  size_t extras = text->len;
  if (!stralloc_readyplus(text, bytes + 1)) return 0;
  j->id = m->q.id;
  j->offset = QFILE_HEADER;
  j->length = m->q.msglen;
  j->host = r->addr + (at < r->addrlen ? at + 1 : at);
  j->sender = sender;
  for (uint32_t i = 0; i < n; i++, r = r->next) stralloc_catb(text, r->addr, r->addrlen + 1);
  j->extras = text->s;
  j->extraslen = extras;
  j->rcpts = text->s + extras;
  j->rcptslen = bytes;
  j->nrcpts = n;
  return 1;
}

int compose_is_small(struct job const *j)
{
  return j->length <= JOB_BODY_MAX &&
         strlen(j->host) + strlen(j->sender) + j->extraslen + j->rcptslen <= JOB_RESERVE;
}
