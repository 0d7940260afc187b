/* deliver.h - one job: a message to a host, on the connection that is there or on a new one */
#ifndef PIPIT_REMOTE_DELIVER_H
#define PIPIT_REMOTE_DELIVER_H

#include <stdint.h>

#include <skalibs/stralloc.h>

#include "conn.h"
#include "job.h"
#include "message.h"
#include "outcome.h"
#include "settings.h"
#include "transact.h"

struct link { /* what is kept from job to job; large: not for the stack */
  struct settings settings; /* of the connection */
  stralloc host;            /* that the connection is for */
  struct conn conn;
  struct envelope envelope;
  struct message message;
  /* Told the name of the mail exchangers, once they are known; NULL: nobody is. */
  void (*on_group)(void *arg, char const *name);
  void *arg;
};
#define LINK_ZERO \
  { .settings = SETTINGS_ZERO, .host = STRALLOC_ZERO, .conn = { .fd = -1 }, .envelope = ENVELOPE_ZERO }

/* Do the job: every recipient has its verdict in <o> afterwards. A connection
 * that is good for more is kept. Never longer than JOB_SECONDS and one second
 * for JOB_RATE bytes. */
extern void deliver(struct link *l, struct job const *j, struct outcome *o);

/* The connection has spoken, or ended, while there was no job: it is of no use
 * any more. */
extern void deliver_drop(struct link *l);

/* Say QUIT on the connection, if there is one. */
extern void deliver_quit(struct link *l);

#endif
