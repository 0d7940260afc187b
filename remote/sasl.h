/* sasl.h - the client's side of a login: PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195),
 * SCRAM-SHA-256 (RFC 5802, 7677), as lines of SMTP (RFC 4954)
 *
 * The only module that sees a password and what a server says about it. It does no input or output.
 */
#ifndef PIPIT_REMOTE_SASL_H
#define PIPIT_REMOTE_SASL_H

#include <stddef.h>

#include "authcwire.h"

#define SASL_USER_MAX   255 /* bytes */
#define SASL_SECRET_MAX 255
#define SASL_LINE_MAX   4096 /* bytes of a line to send, with a NUL; of a challenge */
#define SASL_FIRST_MAX  512  /* of AUTH with a first response (RFC 4954, 4), with CR LF */
#define SASL_NONCE_MAX  512  /* of a server's nonce, with ours before it */
#define SASL_SALT_MAX   512
#define SASL_ROUNDS_MIN 4096    /* of SCRAM: with fewer, a password is guessed too easily */
#define SASL_ROUNDS_MAX 1000000 /* a second of work */
#define SASL_HASH       32

struct sasl { /* all 0 to begin with; holds the password: wipe it */
  int mechanism; /* AUTHCWIRE_... */
  int step;      /* challenges that were answered */
  int proven;    /* the server has shown what it had to */
  char user[SASL_USER_MAX + 1], secret[SASL_SECRET_MAX + 1];
  size_t userlen, secretlen;
  char nonce[32];            /* ours, NUL-terminated; "": a new one is made */
  char first[3 * SASL_USER_MAX + 48]; /* of SCRAM: client-first-message-bare */
  unsigned char signature[SASL_HASH]; /* that the server has to know */
};

/* Have libcrypto load what it needs. 1, or 0. */
extern int sasl_prepare(void);

/* Begin with the strongest of <mechanisms>: the line "AUTH ..." into <out>. Its length, or 0 with
 * sasl_why(). */
extern size_t sasl_begin(struct sasl *s, int mechanisms, char out[SASL_LINE_MAX]);

/* The answer to a challenge (base64, as it came) into <out>. 1 and <*outlen>, or 0 with sasl_why(). */
extern int sasl_answer(struct sasl *s, char const *text, size_t len, char out[SASL_LINE_MAX],
                       size_t *outlen);

/* The server says that we are in. 1, or 0 with sasl_why(): it cannot know the password. */
extern int sasl_accept(struct sasl const *s);

extern char const *sasl_why(void);

#endif
