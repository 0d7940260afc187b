/* children.c - the connections that queued serves; see children.h */

#include <signal.h>
#include <stdlib.h>

#include "children.h"

#define GROW 64

static int is_exempt(struct accounts const *a, uid_t uid)
{
  return !uid || uid == a->uid[ACCOUNT_SMTPD] || uid == a->uid[ACCOUNT_SEND];
}

static size_t count(struct children const *c, uid_t uid)
{
  size_t n = 0;
  for (size_t i = 0; i < c->n; i++) n += c->list[i].uid == uid;
  return n;
}

char const *children_full(struct children const *c, struct queue const *q, uid_t uid)
{
  if (c->n >= q->settings.children) return "too many connections to the queue";
  if (!is_exempt(&q->accounts, uid) && count(c, uid) >= q->settings.peruser)
    return "too many connections of this user to the queue";
  return 0;
}

int children_ready(struct children *c)
{
  if (c->n < c->room) return 1;
  struct child *list = reallocarray(c->list, c->room + GROW, sizeof *list);
  if (!list) return 0;
  c->list = list;
  c->room += GROW;
  return 1;
}

void children_add(struct children *c, pid_t pid, uid_t uid)
{
  struct child const new = { .pid = pid, .uid = uid };
  c->list[c->n++] = new;
}

int children_remove(struct children *c, pid_t pid)
{
  for (size_t i = 0; i < c->n; i++) {
    if (c->list[i].pid != pid) continue;
    c->list[i] = c->list[--c->n];
    return 1;
  }
  return 0;
}

void children_kill(struct children const *c, int sig)
{
  for (size_t i = 0; i < c->n; i++) kill(c->list[i].pid, sig);
}
