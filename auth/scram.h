/* scram.h - the server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding
 *
 * In two halves, which are of different processes (checkpass-reader.h): one takes the client's
 * messages apart, and knows no keys; the other has the keys, and joins what it was told without
 * looking into it. Messages are as decoded from base64; of lengths, and without trust.
 */
#ifndef PIPIT_AUTH_SCRAM_H
#define PIPIT_AUTH_SCRAM_H

#include <stddef.h>

#include "authwire.h"
#include "secret.h"

#define SCRAM_NONCE_MAX 256 /* bytes of a client's nonce */
#define SCRAM_OURS      24  /* bytes of our part of the nonce */
#define SCRAM_TEXT_MAX  (3 * AUTHWIRE_SCRAM_MAX + 3)

/* --- the half that reads --- */

struct scram {
  char user[AUTHWIRE_LOGIN_MAX + 1]; /* with =2C and =3D undone */
  size_t headerlen;                  /* of the gs2 header, with its commas */
  size_t firstlen;                   /* of the client's first message */
  char first[AUTHWIRE_SCRAM_MAX];
  size_t noncelen;                   /* of the client's nonce */
  char nonce[SCRAM_NONCE_MAX + SCRAM_OURS];
};

/* Take the client's first message: 1 and s->user; 0 when it is none, or asks for what is not
 * offered (channel binding, acting for another user, extensions). */
extern int scram_first(struct scram *s, char const *msg, size_t len);

/* Take the client's final message, to a challenge with <ours> behind the client's nonce. How much of
 * it stands before the proof; 0 when it is none. */
extern size_t scram_final(struct scram *s, char const ours[SCRAM_OURS], char const *msg, size_t len,
                          unsigned char proof[SCRAM_KEY]);

/* --- the half that has the keys --- */

/* Make our part of a nonce: printable, without commas. 1, or 0 with errno. */
extern int scram_nonce(char ours[SCRAM_OURS]);

/* Make the server's first message; <len> is at most SCRAM_NONCE_MAX. Its length. */
extern size_t scram_challenge(char out[AUTHWIRE_SCRAM_MAX], struct scram_keys const *k, char const *nonce,
                              size_t len, char const ours[SCRAM_OURS]);

/* Is <proof> one that whoever sent it has the password, for the conversation that is s[0..len)? 1 and
 * the server's own in <signature>; 0 it is not; -1 OpenSSL failed. */
extern int scram_check(struct scram_keys const *k, unsigned char const proof[SCRAM_KEY], char const *s,
                       size_t len, unsigned char signature[SCRAM_KEY]);

#endif
