/* context.h - what all sessions of pipit-tlsd share: certificates, settings, tickets
 *
 * Control files, with TLS clients: tlsserverciphers, tlsservergroups, tlsserverversion, clientca.pem,
 * concurrencytlsd. With TLS servers: tlsclientciphers, tlsclientgroups, tlsclientversion,
 * serverca.pem, serverca/, concurrencytlsc.
 */
#ifndef PIPIT_TLS_CONTEXT_H
#define PIPIT_TLS_CONTEXT_H

#include <stdatomic.h>

#include <openssl/ssl.h>

#include "certs.h"
#include "loader.h"
#include "stores.h"
#include "tlswire.h"

struct context {
  char role; /* TLSWIRE_SERVER: with TLS clients, TLSWIRE_CLIENT: with TLS servers */
  struct loader loader; /* the next two are for TLS clients */
  struct certs certs;
  struct stores stores; /* for TLS servers */
  SSL_CTX *ctx;
  uint64_t stamp;         /* of the control files */
  unsigned long sessions; /* at once */
  int stale;              /* the settings are from before, for the files are no good now */
  _Atomic unsigned int *changes; /* counted; shared with the sessions */
  unsigned int have;             /* the count that this process has the state of */
};

/* The control file with the number of sessions. */
extern char const *context_limit(struct context const *c);

/* Load everything for the first time. 1, or 0 after a line on stderr. */
extern int context_load(struct context *c);

/* What sessions have is out of date: they serve no other. */
extern void context_changed(struct context *c);

/* For a session: whether it has what its parent has. */
extern int context_is_current(struct context const *c);

/* Load again what has changed (<always>: everything); what is broken stays as it
 * was, and a line on stderr says so. 1, or 0: the loader is gone. */
extern int context_refresh(struct context *c, int always);

#endif
