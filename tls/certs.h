/* certs.h - certificates with their keys, by the name that clients ask for */
#ifndef PIPIT_TLS_CERTS_H
#define PIPIT_TLS_CERTS_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "loader.h"

#define CERTS_FILE_MAX 1048576 /* bytes of a file */
#define CERTS_NAME_MAX 255     /* bytes of a name that a client may ask for */

struct cert {
  char name[NAME_MAX + 1]; /* in lower case; "" for control/servercert.pem */
  uint64_t stamp;          /* of its files */
  X509 *leaf;
  STACK_OF(X509) *chain;
  EVP_PKEY *key;
};
struct certs {
  size_t count;
  struct cert *list; /* by name */
  int stale;         /* some are from before, for they cannot be read now */
  char me[CERTS_NAME_MAX + 1]; /* control/me: the name where a client asks for none that is there */
};

/* Read what the loader passes, after loader_ask has said that there is something, and
 * replace <c> by it. What did not change is not read again. For a certificate that
 * is broken the one of that name in <c> stays, and a line on stderr tells. 1; 0 out of
 * memory; -1 the loader is gone. */
extern int certs_read(struct certs *c, struct loader const *l);

/* The one for <name>: of that name, or for *.parent, or that for all others: "default", that
 * for <me>, control/servercert.pem, or the first. NULL: there are none. */
extern struct cert const *certs_find(struct certs const *c, char const *name);

#endif
