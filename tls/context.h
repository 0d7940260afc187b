/* context.h - what all sessions of pipit-tlsd share: certificates, settings, tickets
 *
 * Control files: tlsserverciphers, tlsservergroups, tlsserverversion, clientca.pem,
 * concurrencytlsd.
 */
#ifndef PIPIT_TLS_CONTEXT_H
#define PIPIT_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "certs.h"
#include "loader.h"

struct context {
  struct loader loader;
  struct certs certs;
  SSL_CTX *ctx;
  uint64_t stamp;         /* of the control files */
  unsigned long sessions; /* at once */
};

/* Load everything for the first time. 1, or 0 after a line on stderr. */
extern int context_load(struct context *c);

/* Load again what has changed (<always>: everything); what is broken stays as it
 * was, and a line on stderr says so. 1, or 0: the loader is gone. */
extern int context_refresh(struct context *c, int always);

#endif
