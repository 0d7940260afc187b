/* sasl.c - the client's side of a login; see sasl.h */

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "sasl.h"

#define NONCE_BYTES 18 /* 24 characters in base64 */
#define CHALLENGE_MAX (SASL_LINE_MAX / 4 * 3 + 3)
#define GS2 "n,,"      /* no channel binding, no authorization identity */
#define GS2_BASE64 "biws"
#define MD5_BYTES 16

static char const *why = "";

char const *sasl_why(void)
{
  return why;
}

static int fail(char const *text)
{
  why = text;
  return 0;
}

/* --- base64 --- */

/* The length; <out> has room for that and a NUL. */
static size_t encode(char *out, void const *s, size_t len)
{
  return (size_t)EVP_EncodeBlock((unsigned char *)out, s, (int)len);
}

/* s[0..len) into out[CHALLENGE_MAX], with a NUL behind it. The length, or -1. */
static int decode(char out[CHALLENGE_MAX], char const *s, size_t len)
{
  static char const plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t pad = len && s[len - 1] == '=' ? 1 : 0;
  if (pad && len > 1 && s[len - 2] == '=') pad = 2;
  if (len % 4 || len >= SASL_LINE_MAX) return -1;
  for (size_t i = 0; i < len - pad; i++)
    if (!s[i] || !strchr(plain, s[i])) return -1;
  int n = len ? EVP_DecodeBlock((unsigned char *)out, (unsigned char const *)s, (int)len) : 0;
  if (n < (int)pad) return -1;
  out[n -= (int)pad] = 0;
  return n;
}

/* --- hashes --- */

static int hmac(EVP_MD const *md, void const *key, size_t keylen, void const *s, size_t len,
                unsigned char *out)
{
  return HMAC(md, key, (int)keylen, s, len, out, 0) != 0;
}

int sasl_prepare(void)
{
  unsigned char out[EVP_MAX_MD_SIZE];
  return hmac(EVP_md5(), "k", 1, "x", 1, out) && hmac(EVP_sha256(), "k", 1, "x", 1, out) &&
         PKCS5_PBKDF2_HMAC("k", 1, (unsigned char const *)"x", 1, 1, EVP_sha256(), SASL_HASH, out) == 1 &&
         EVP_Digest("x", 1, out, 0, EVP_sha256(), 0) == 1 && RAND_bytes(out, NONCE_BYTES) == 1;
}

/* --- the first line --- */

/* authzid NUL authcid NUL password. The length. */
static size_t plain(struct sasl const *s, char out[SASL_LINE_MAX])
{
  char text[SASL_USER_MAX + SASL_SECRET_MAX + 2];
  *text = 0;
  memcpy(text + 1, s->user, s->userlen);
  text[1 + s->userlen] = 0;
  memcpy(text + 2 + s->userlen, s->secret, s->secretlen);
  size_t len = encode(out, text, 2 + s->userlen + s->secretlen);
  OPENSSL_cleanse(text, sizeof text);
  return len;
}

/* client-first-message-bare: the name with = and , as =3D and =2C. */
static int make_first(struct sasl *s)
{
  unsigned char random[NONCE_BYTES];
  if (!*s->nonce) {
    if (RAND_bytes(random, sizeof random) != 1) return fail("there are no random bytes");
    encode(s->nonce, random, sizeof random);
  }
  char user[3 * SASL_USER_MAX + 1];
  size_t n = 0;
  for (size_t i = 0; i < s->userlen; i++) {
    char const c = s->user[i];
    if (c != '=' && c != ',') user[n++] = c;
    else n += (size_t)snprintf(user + n, sizeof user - n, "=%02X", (unsigned int)c);
  }
  user[n] = 0;
  return (size_t)snprintf(s->first, sizeof s->first, "n=%s,r=%s", user, s->nonce) < sizeof s->first;
}

static size_t scram_first(struct sasl *s, char out[SASL_LINE_MAX])
{
  char text[sizeof GS2 + sizeof s->first];
  if (!make_first(s)) return 0;
  int n = snprintf(text, sizeof text, GS2 "%s", s->first);
  return encode(out, text, (size_t)n);
}

size_t sasl_begin(struct sasl *s, int mechanisms, char out[SASL_LINE_MAX])
{
  static char const *const names[] = AUTHCWIRE_NAMES;
  char first[SASL_LINE_MAX] = "";
  int i = AUTHCWIRE_COUNT - 1;
  while (i >= 0 && !(mechanisms & 1 << i)) i--;
  if (i < 0) return (size_t)fail("the server offers no mechanism that is known here");
  s->mechanism = 1 << i;
  if (s->mechanism == AUTHCWIRE_SCRAM_SHA_256 && !scram_first(s, first)) return 0;
  if (s->mechanism == AUTHCWIRE_PLAIN) plain(s, first);
  int n = snprintf(out, SASL_LINE_MAX, "AUTH %s%s%s", names[i], *first ? " " : "", first);
  if (n + 2 > SASL_FIRST_MAX) n = snprintf(out, SASL_LINE_MAX, "AUTH %s", names[i]);
  else if (*first) s->step = 1;
  OPENSSL_cleanse(first, sizeof first);
  return (size_t)n;
}

/* --- challenges --- */

static int login(struct sasl *s, char *out, size_t *outlen)
{
  if (s->step > 2) return fail("the server asks for more than name and password");
  *outlen = s->step == 1 ? encode(out, s->user, s->userlen) : encode(out, s->secret, s->secretlen);
  return 1;
}

static int cram_md5(struct sasl *s, char const *challenge, size_t len, char *out, size_t *outlen)
{
  unsigned char sum[EVP_MAX_MD_SIZE];
  char text[SASL_USER_MAX + 2 * MD5_BYTES + 2];
  if (s->step > 1) return fail("the server asks twice");
  if (!len) return fail("the server's challenge is empty");
  if (!hmac(EVP_md5(), s->secret, s->secretlen, challenge, len, sum))
    return fail("MD5 is not to be had from libcrypto");
  memcpy(text, s->user, s->userlen);
  size_t n = s->userlen;
  text[n++] = ' ';
  for (int i = 0; i < MD5_BYTES; i++) n += (size_t)snprintf(text + n, sizeof text - n, "%02x", sum[i]);
  *outlen = encode(out, text, n);
  return 1;
}

/* --- SCRAM --- */

/* The value of the attribute <name> at *p, which is moved behind it and its comma; NULL: another one
 * stands there. */
static char const *attribute(char const **p, char name, size_t *len)
{
  char const *s = *p;
  if (s[0] != name || s[1] != '=') return 0;
  s += 2;
  *len = strcspn(s, ",");
  *p = s + *len + (s[*len] == ',');
  return s;
}

static int take_rounds(char const *s, size_t len, int *rounds)
{
  int n = 0;
  for (size_t i = 0; i < len; i++) {
    if (s[i] < '0' || s[i] > '9' || n > SASL_ROUNDS_MAX) return 0;
    n = n * 10 + s[i] - '0';
  }
  *rounds = n;
  return len > 0;
}

struct server_first {
  char const *nonce; /* not NUL-terminated */
  size_t noncelen, saltlen;
  unsigned char salt[CHALLENGE_MAX];
  int rounds;
};

static int parse_first(struct sasl const *s, char const *text, struct server_first *f)
{
  char const *p = text, *salt, *rounds;
  size_t ours = strlen(s->nonce), saltlen, roundslen;
  f->nonce = attribute(&p, 'r', &f->noncelen);
  if (!f->nonce) return fail("the server's first message is not one of SCRAM");
  if (f->noncelen <= ours || f->noncelen > SASL_NONCE_MAX || memcmp(f->nonce, s->nonce, ours))
    return fail("the server's nonce does not begin with ours");
  salt = attribute(&p, 's', &saltlen);
  rounds = salt ? attribute(&p, 'i', &roundslen) : 0;
  int n = rounds && saltlen ? decode((char *)f->salt, salt, saltlen) : -1;
  if (n <= 0 || n > SASL_SALT_MAX || !take_rounds(rounds, roundslen, &f->rounds))
    return fail("the server's first message is not one of SCRAM");
  f->saltlen = (size_t)n;
  if (f->rounds < SASL_ROUNDS_MIN || f->rounds > SASL_ROUNDS_MAX)
    return fail("the server's iteration count is out of bounds (4096 to 1000000)");
  return 1;
}

/* ClientProof over <message>, in <proof>; the signature to expect in <s>. */
static int prove(struct sasl *s, struct server_first const *f, char const *message,
                 unsigned char proof[SASL_HASH])
{
  EVP_MD const *md = EVP_sha256();
  unsigned char salted[SASL_HASH], key[SASL_HASH], stored[SASL_HASH];
  size_t const len = strlen(message);
  int ok = PKCS5_PBKDF2_HMAC(s->secret, (int)s->secretlen, f->salt, (int)f->saltlen, f->rounds, md,
                             SASL_HASH, salted) == 1 &&
           hmac(md, salted, SASL_HASH, "Client Key", 10, key) &&
           EVP_Digest(key, SASL_HASH, stored, 0, md, 0) == 1 &&
           hmac(md, stored, SASL_HASH, message, len, proof) &&
           hmac(md, salted, SASL_HASH, "Server Key", 10, stored) &&
           hmac(md, stored, SASL_HASH, message, len, s->signature);
  for (int i = 0; i < SASL_HASH; i++) proof[i] ^= key[i];
  OPENSSL_cleanse(salted, sizeof salted);
  OPENSSL_cleanse(key, sizeof key);
  return ok || fail("SHA-256 is not to be had from libcrypto");
}

static int scram_final(struct sasl *s, char const *challenge, char *out, size_t *outlen)
{
  struct server_first f;
  unsigned char proof[SASL_HASH];
  char final[SASL_NONCE_MAX + 100], encoded[SASL_HASH * 2];
  char message[sizeof s->first + CHALLENGE_MAX + sizeof final];
  if (!parse_first(s, challenge, &f)) return 0;
  int n = snprintf(final, sizeof final, "c=" GS2_BASE64 ",r=%.*s", (int)f.noncelen, f.nonce);
  snprintf(message, sizeof message, "%s,%s,%s", s->first, challenge, final);
  if (!prove(s, &f, message, proof)) return 0;
  encode(encoded, proof, sizeof proof);
  n += snprintf(final + n, sizeof final - (size_t)n, ",p=%s", encoded);
  *outlen = encode(out, final, (size_t)n);
  return 1;
}

static int scram_verify(struct sasl *s, char const *challenge, size_t *outlen)
{
  char signature[CHALLENGE_MAX];
  size_t len;
  char const *p = challenge, *v = attribute(&p, 'v', &len);
  *outlen = 0;
  if (*challenge == 'e') return fail("the server does not accept the proof of the password");
  if (!v || decode(signature, v, len) != SASL_HASH ||
      CRYPTO_memcmp(signature, s->signature, SASL_HASH))
    return fail("the server does not know the password: it may be another one");
  s->proven = 1;
  return 1;
}

static int scram(struct sasl *s, char const *challenge, size_t len, char *out, size_t *outlen)
{
  if (strlen(challenge) != len) return fail("the server's challenge is no text");
  if (s->step == 1) return len ? fail("the server's challenge is not empty") : (*outlen = scram_first(s, out)) > 0;
  if (s->step == 2) return scram_final(s, challenge, out, outlen);
  return s->step == 3 ? scram_verify(s, challenge, outlen) : fail("the server asks for too much");
}

static int plain_late(struct sasl *s, char *out, size_t *outlen)
{
  if (s->step > 1) return fail("the server asks for more than name and password");
  *outlen = plain(s, out);
  return 1;
}

int sasl_answer(struct sasl *s, char const *text, size_t len, char out[SASL_LINE_MAX], size_t *outlen)
{
  char challenge[CHALLENGE_MAX];
  s->step++;
  /* What LOGIN and PLAIN are asked for has no meaning. */
  if (s->mechanism == AUTHCWIRE_LOGIN) return login(s, out, outlen);
  if (s->mechanism == AUTHCWIRE_PLAIN) return plain_late(s, out, outlen);
  int n = decode(challenge, text, len);
  if (n == -1) return fail("the server's challenge is not base64");
  if (s->mechanism == AUTHCWIRE_CRAM_MD5) return cram_md5(s, challenge, (size_t)n, out, outlen);
  return scram(s, challenge, (size_t)n, out, outlen);
}

int sasl_accept(struct sasl const *s)
{
  return s->mechanism != AUTHCWIRE_SCRAM_SHA_256 || s->proven ||
         fail("the server has not shown that it knows the password: it may be another one");
}
