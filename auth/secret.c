/* secret.c - hashes by crypt(3), keys of SCRAM (RFC 5802, 3); see secret.h */

#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <skalibs/types.h>

#include "base64.h"
#include "secret.h"

#define SCRAM_SCHEME   "{SCRAM-SHA-256}"
#define CRYPT_SCHEME   "{CRYPT}"
#define CRYPT_SHORTEST 13 /* bytes of a hash: the oldest scheme's, which takes any two letters for its salt */

_Static_assert(sizeof CRYPT_SCHEME + CRYPT_OUTPUT_SIZE <= SECRET_MAX, "any hash has room");

int secret_is_disabled(char const *s)
{
  return *s == '!' || *s == '*';
}

/* Does the name s[0..len) of a scheme end in CRYPT? */
static int is_crypt(char const *s, size_t len)
{
  return len >= 5 && !strncasecmp(s + len - 5, "CRYPT", 5);
}

enum secret_kind secret_kind(char const *s, char const **hash)
{
  char const *end;
  *hash = s;
  if (!strncasecmp(s, SCRAM_SCHEME, strlen(SCRAM_SCHEME))) {
    *hash = s + strlen(SCRAM_SCHEME);
    return SECRET_SCRAM;
  }
  if (*s != '{') return SECRET_CRYPT;
  end = strchr(s, '}');
  if (!end || !is_crypt(s + 1, (size_t)(end - s) - 1)) return SECRET_UNKNOWN;
  *hash = end + 1;
  return SECRET_CRYPT;
}

/* Decode up to the next comma, or the end. What follows; NULL when it is not base64. */
static char const *decode(unsigned char *to, size_t size, size_t *n, char const *s)
{
  size_t len = strcspn(s, ",");
  if (!base64_decode((char *)to, size, s, len, n)) return 0;
  return s[len] ? s + len + 1 : s + len;
}

int secret_scram(struct scram_keys *k, char const *text)
{
  size_t digits = uint_scan(text, &k->iterations);
  size_t stored = 0, server = 0;
  if (!digits || text[digits] != ',') return 0;
  if (k->iterations < SCRAM_ITERATIONS_MIN || k->iterations > SCRAM_ITERATIONS_MAX) return 0;
  char const *s = decode(k->salt, sizeof k->salt, &k->saltlen, text + digits + 1);
  if (s) s = decode(k->stored, sizeof k->stored, &stored, s);
  if (s) s = decode(k->server, sizeof k->server, &server, s);
  return s && !*s && k->saltlen && stored == SCRAM_KEY && server == SCRAM_KEY;
}

int secret_derive(struct scram_keys *k, char const *password, size_t len)
{
  unsigned char salted[SCRAM_KEY], client[SCRAM_KEY];
  EVP_MD const *md = EVP_sha256();
  int ok = PKCS5_PBKDF2_HMAC(password, (int)len, k->salt, (int)k->saltlen, (int)k->iterations, md,
                             sizeof salted, salted) == 1 &&
           HMAC(md, salted, sizeof salted, (unsigned char const *)"Client Key", 10, client, 0) &&
           EVP_Digest(client, sizeof client, k->stored, 0, md, 0) == 1 &&
           HMAC(md, salted, sizeof salted, (unsigned char const *)"Server Key", 10, k->server, 0);
  explicit_bzero(salted, sizeof salted);
  explicit_bzero(client, sizeof client);
  return ok;
}

static int check_scram(char const *hash, char const *password)
{
  struct scram_keys known, tried;
  if (!secret_scram(&known, hash)) return -1;
  tried = known;
  if (!secret_derive(&tried, password, strlen(password))) return -1;
  return !CRYPTO_memcmp(known.stored, tried.stored, SCRAM_KEY);
}

/* A hash of the form that crypt(3) makes, in a scheme that it has. */
static int is_hash(char const *hash)
{
  int r = crypt_checksalt(hash);
  return r != CRYPT_SALT_INVALID && r != CRYPT_SALT_METHOD_DISABLED && strlen(hash) >= CRYPT_SHORTEST;
}

int secret_is_usable(char const *s)
{
  struct scram_keys k;
  char const *hash;
  switch (secret_kind(s, &hash)) {
    case SECRET_SCRAM: return secret_scram(&k, hash);
    case SECRET_CRYPT: return is_hash(hash);
    default: return 0;
  }
}

/* Its memory is on the heap: that is 32 KB, which nobody needs to wipe by hand but us. */
static int hash_of(char out[CRYPT_OUTPUT_SIZE], char const *password, char const *setting)
{
  struct crypt_data *d = calloc(1, sizeof *d);
  if (!d) return 0;
  char const *got = crypt_r(password, setting, d);
  int ok = got && *got != '*';
  if (ok) memcpy(out, d->output, sizeof d->output);
  explicit_bzero(d, sizeof *d);
  free(d);
  return ok;
}

static int check_crypt(char const *hash, char const *password)
{
  char tried[CRYPT_OUTPUT_SIZE];
  size_t len = strlen(hash);
  if (!hash_of(tried, password, hash)) return -1;
  return strlen(tried) == len && len > 1 && !CRYPTO_memcmp(tried, hash, len);
}

int secret_check(char const *s, char const *password)
{
  char const *hash;
  int r = -1;
  switch (secret_kind(s, &hash)) {
    case SECRET_SCRAM: r = check_scram(hash, password); break;
    case SECRET_CRYPT: r = check_crypt(hash, password); break;
    default: break;
  }
  if (r == -1) errno = EPROTO;
  return r;
}

static int make_crypt(char out[SECRET_MAX], char const *password)
{
  char setting[CRYPT_GENSALT_OUTPUT_SIZE];
  memcpy(out, CRYPT_SCHEME, strlen(CRYPT_SCHEME));
  return crypt_gensalt_rn(0, 0, 0, 0, setting, sizeof setting) && hash_of(out + strlen(CRYPT_SCHEME), password, setting);
}

static int make_scram(char out[SECRET_MAX], char const *password, unsigned int iterations)
{
  struct scram_keys k = { .iterations = iterations, .saltlen = SCRAM_SALT };
  char salt[BASE64_LEN(SCRAM_SALT)], stored[BASE64_LEN(SCRAM_KEY)], server[BASE64_LEN(SCRAM_KEY)];
  if (getrandom(k.salt, k.saltlen, 0) != (ssize_t)k.saltlen) return 0;
  if (!secret_derive(&k, password, strlen(password))) return (errno = EINVAL, 0);
  base64_encode(salt, (char *)k.salt, k.saltlen);
  base64_encode(stored, (char *)k.stored, SCRAM_KEY);
  base64_encode(server, (char *)k.server, SCRAM_KEY);
  int n = snprintf(out, SECRET_MAX, SCRAM_SCHEME "%u,%.*s,%.*s,%.*s", k.iterations,
                   (int)sizeof salt, salt, (int)sizeof stored, stored, (int)sizeof server, server);
  explicit_bzero(&k, sizeof k);
  return n < SECRET_MAX;
}

int secret_make(char out[SECRET_MAX], char const *password, unsigned int iterations)
{
  return iterations ? make_scram(out, password, iterations) : make_crypt(out, password);
}
