/* peer.h - the TLS server of a session: what was asked of it, and whether it is that
 *
 * RFC 5280 for the chain, RFC 7817 and 9525 for the name: DNS names and addresses of the
 * certificate, never its subject.
 */
#ifndef PIPIT_TLS_PEER_H
#define PIPIT_TLS_PEER_H

#include <stddef.h>

#include <openssl/ssl.h>

#include "stores.h"
#include "tlswire.h"

#define PEER_WHY_MAX 200

struct peer {
  char level;
  char const *strings[TLSWIRE_STRINGS];
  struct stores const *stores;
  char const *verified;   /* TLSWIRE_VERIFIED, _PRINTED or _NOT */
  char why[PEER_WHY_MAX]; /* it does not hold; or "" */
};

/* Take the strings s[0..len) of a request apart; <p> leads into them. 1, or 0: malformed. */
extern int peer_take(struct peer *p, char level, char const *s, size_t len);

/* Let the handshake of <ssl> be with <p>, which stays valid. NULL, or why that cannot be. */
extern char const *peer_expect(struct peer *p, SSL *ssl, struct stores const *stores);

#endif
