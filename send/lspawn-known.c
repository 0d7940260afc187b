/* lspawn-known.c - what children of pipit-lspawn found out about users; see lspawn.h
 *
 * Looking a user up is a third of what a delivery by a new process costs. So the
 * next one for the same address, within the seconds that a worker lives, is told.
 * A child writes what it found into memory that it shares with lspawn, before it
 * becomes the user; the table is in memory that no child has.
 */

#include <stdatomic.h>
#include <string.h>

#include "lspawn.h"

#define WAYS 8 /* places for an address; the oldest one gives way */

static struct known_entry *places(struct lspawn const *l, char const *rcpt)
{
  uint32_t h = 2166136261u; /* FNV-1a */
  for (; *rcpt; rcpt++) h = (h ^ (unsigned char)*rcpt) * 16777619u;
  return l->known + (h ^ h >> 16) % (KNOWN_ENTRIES / WAYS) * WAYS;
}

/* Does this entry answer for the address? Its text stands behind that. */
static int answers(struct known_entry const *e, struct lspawn const *l, char const *rcpt)
{
  return e->known.len && e->users == l->users && tain_future(&e->end) && !strcmp(e->rcpt, rcpt);
}

unsigned long known_recall(struct lspawn *l, char const *rcpt, tain *end)
{
  struct known_entry *e = places(l, rcpt);
  for (int i = 0; i < WAYS; i++, e++)
    if (answers(e, l, rcpt)) {
      unsigned long since = l->turn - e->turn;
      l->given = e->known;
      *end = e->end;
      e->turn = l->turn;
      return since;
    }
  return 0;
}

void known_forget(struct lspawn *l, struct slot const *s)
{
  l->given.len = 0;
  l->found[s - l->slots].len = 0;
}

void known_keep(struct lspawn *l, struct slot const *s)
{
  struct known *found = l->found + (s - l->slots);
  size_t len = s->rcpt ? strlen(s->rcpt) : KNOWN_RCPT_MAX;
  if (!found->len || len >= KNOWN_RCPT_MAX) return;
  struct known_entry *e = places(l, s->rcpt), *oldest = e;
  for (int i = 1; i < WAYS; i++)
    if (tain_less(&e[i].end, &oldest->end)) oldest = e + i;
  oldest->end = s->end;
  oldest->users = s->users;
  oldest->turn = l->turn;
  oldest->known = *found;
  memcpy(oldest->rcpt, s->rcpt, len + 1);
  found->len = 0;
}

void known_tell(struct known *k, struct mailuser const *u)
{
  if (u->text.len > sizeof k->text) return;
  k->uid = u->uid;
  k->gid = u->gid;
  memcpy(k->text, u->text.s, u->text.len);
  /* Whoever reads a length has all of it, even of a child that is killed here. */
  atomic_thread_fence(memory_order_release);
  *(uint32_t volatile *)&k->len = (uint32_t)u->text.len;
}
