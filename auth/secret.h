/* secret.h - what is kept of a password: a hash, or the keys of SCRAM-SHA-256
 *
 * As text, in the form that Dovecot's passwd-file has too: {CRYPT}$y$..., or any other scheme of
 * crypt(3) by its own name ({SHA512-CRYPT}$6$...); a hash of crypt(3) without a scheme; or
 * {SCRAM-SHA-256}iterations,salt,stored key,server key, the last three in base64. With "!" or "*"
 * at its beginning, whatever follows, it is no password's: the login is disabled, as in a shadow file.
 */
#ifndef PIPIT_AUTH_SECRET_H
#define PIPIT_AUTH_SECRET_H

#include <stddef.h>

#define SECRET_MAX        512 /* bytes of such a text */
#define SECRET_PASSWORD_MAX 511
#define SCRAM_KEY         32
#define SCRAM_SALT_MAX    64
#define SCRAM_SALT        16
#define SCRAM_ITERATIONS  65536 /* where pipit-passwd is not told otherwise */
#define SCRAM_ITERATIONS_MIN 4096 /* RFC 7677, 4 */
#define SCRAM_ITERATIONS_MAX 10000000

struct scram_keys {
  unsigned int iterations;
  size_t saltlen;
  unsigned char salt[SCRAM_SALT_MAX];
  unsigned char stored[SCRAM_KEY];
  unsigned char server[SCRAM_KEY];
};

enum secret_kind { SECRET_CRYPT, SECRET_SCRAM, SECRET_UNKNOWN };

extern int secret_is_disabled(char const *s);

/* Which kind is s, which is not disabled? <*hash> is where its hash begins. */
extern enum secret_kind secret_kind(char const *s, char const **hash);

/* Can a password be checked by s, which is not disabled? */
extern int secret_is_usable(char const *s);

/* Read the text behind {SCRAM-SHA-256}. 1, or 0 when it is none. */
extern int secret_scram(struct scram_keys *k, char const *text);

/* Is this the password of a login that is not disabled? 1, 0; -1 with errno when that cannot be told. */
extern int secret_check(char const *s, char const *password);

/* Make the text for a password: of crypt(3)'s best scheme, or with <iterations> SCRAM's keys.
 * 1, or 0 with errno. */
extern int secret_make(char out[SECRET_MAX], char const *password, unsigned int iterations);

/* 1, or 0 when OpenSSL fails. */
extern int secret_derive(struct scram_keys *k, char const *password, size_t len);

#endif
