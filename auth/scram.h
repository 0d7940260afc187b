/* scram.h - the server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding
 *
 * Messages are as decoded from base64; of lengths, and without trust.
 */
#ifndef PIPIT_AUTH_SCRAM_H
#define PIPIT_AUTH_SCRAM_H

#include <stddef.h>

#include "authwire.h"
#include "secret.h"

#define SCRAM_NONCE_MAX 256 /* bytes of a client's nonce */

struct scram {
  char user[AUTHWIRE_LOGIN_MAX + 1]; /* with =2C and =3D undone */
  size_t headerlen;                  /* of the gs2 header, with its commas */
  size_t firstlen;                   /* of the client's first message */
  char first[AUTHWIRE_SCRAM_MAX];
  size_t noncelen;                   /* of both nonces */
  char nonce[SCRAM_NONCE_MAX + 32];
  size_t serverlen;                  /* of the server's first message */
  char server[AUTHWIRE_SCRAM_MAX];
};

/* Take the client's first message: 1 and s->user; 0 when it is none, or asks for what is not
 * offered (channel binding, acting for another user, extensions). */
extern int scram_first(struct scram *s, char const *msg, size_t len);

/* Make s->server, with more of the nonce: <random> is printable, without commas. 1, or 0. */
extern int scram_challenge(struct scram *s, struct scram_keys const *k, char const *random);

/* Take the client's final message: 1 it has the password, and the server's final message is in
 * out[0..*outlen); 0 it has not, or the message is none; -1 OpenSSL failed. */
extern int scram_final(struct scram const *s, struct scram_keys const *k, char const *msg,
                       size_t len, char out[AUTHWIRE_SCRAM_MAX], size_t *outlen);

#endif
