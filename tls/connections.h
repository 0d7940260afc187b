/* connections.h - pipit-tlsd's state, and the connections on its socket until they are sessions */
#ifndef PIPIT_TLS_CONNECTIONS_H
#define PIPIT_TLS_CONNECTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "accounts.h"
#include "context.h"

#define TLSD_WAITING 64 /* connections that have not asked for anything yet */

struct tlsd {
  struct accounts accounts;
  enum account self, asker; /* its own, and who may ask beside that and root */
  struct context context;
  int listener;
  int signals;
  unsigned int sessions; /* children */
  int stopping;
  int crashed; /* a child was killed */
  uint64_t checked;
  uint64_t paused_until;
  size_t waiting;
  int wait[TLSD_WAITING];
};

/* Read anew what has changed (<always>: everything). Exits where the loader is gone. */
extern void connections_refresh(struct tlsd *d, int always);

/* Accept those that have come; they wait in d->wait. */
extern void connections_take(struct tlsd *d);

/* d->wait[i] has asked for a session, which gets a child, or is gone. It is taken out. */
extern void connections_hear(struct tlsd *d, size_t i);

#endif
