/* scram.c - RFC 5802, 3, 5 and 7; see scram.h */

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base64.h"
#include "scram.h"

/* A part of a message, up to a comma. */
struct part {
  char const *s;
  size_t len;
};

/* The next part of s[*pos..len), which has to begin with <name>; its value. */
static int take(struct part *p, char const *name, char const *s, size_t len, size_t *pos)
{
  size_t n = strlen(name);
  char const *start = s + *pos;
  if (*pos > len || len - *pos < n || memcmp(start, name, n)) return 0;
  char const *comma = memchr(start, ',', len - *pos);
  size_t whole = comma ? (size_t)(comma - start) : len - *pos;
  if (whole < n) return 0;
  p->s = start + n;
  p->len = whole - n;
  *pos += whole + 1;
  return 1;
}

/* Undo =2C and =3D. The length; 0 when it is no name, or too long. */
static size_t name_of(char out[AUTHWIRE_LOGIN_MAX + 1], struct part const *p)
{
  size_t n = 0;
  for (size_t i = 0; i < p->len; i++) {
    char c = p->s[i];
    if (!c || n == AUTHWIRE_LOGIN_MAX) return 0;
    if (c == '=') {
      if (p->len - i < 3) return 0;
      if (!memcmp(p->s + i, "=2C", 3)) c = ',';
      else if (memcmp(p->s + i, "=3D", 3)) return 0;
      i += 2;
    }
    out[n++] = c;
  }
  out[n] = 0;
  return n;
}

static int is_nonce(struct part const *p)
{
  if (!p->len || p->len > SCRAM_NONCE_MAX) return 0;
  for (size_t i = 0; i < p->len; i++)
    if (p->s[i] < 33 || p->s[i] > 126) return 0;
  return 1;
}

/* The gs2 header: "n,," or "y,,", perhaps with a=. 1 and <*pos> behind it. */
static int take_header(struct part *authzid, char const *msg, size_t len, size_t *pos)
{
  struct part flag;
  if (!take(&flag, "n", msg, len, pos) && !take(&flag, "y", msg, len, pos)) return 0;
  if (flag.len || *pos >= len) return 0;
  if (msg[*pos] == ',') {
    ++*pos;
    return 1;
  }
  return take(authzid, "a=", msg, len, pos) && *pos <= len;
}

int scram_first(struct scram *s, char const *msg, size_t len)
{
  struct part authzid = { 0, 0 }, user, nonce;
  char other[AUTHWIRE_LOGIN_MAX + 1];
  size_t pos = 0;
  if (len > sizeof s->first || !take_header(&authzid, msg, len, &pos)) return 0;
  s->headerlen = pos;
  if (!take(&user, "n=", msg, len, &pos) || !take(&nonce, "r=", msg, len, &pos)) return 0;
  if (!name_of(s->user, &user) || !is_nonce(&nonce)) return 0;
  if (authzid.s && (!name_of(other, &authzid) || strcmp(other, s->user))) return 0;
  memcpy(s->first, msg, len);
  s->firstlen = len;
  memcpy(s->nonce, nonce.s, nonce.len);
  s->noncelen = nonce.len;
  return 1;
}

/* Is it the gs2 header of the first message, in base64? */
static int is_binding(struct scram const *s, struct part const *p)
{
  char expected[BASE64_LEN(AUTHWIRE_SCRAM_MAX)];
  size_t n = base64_encode(expected, s->first, s->headerlen);
  return n == p->len && !memcmp(expected, p->s, n);
}

static int is_our_nonce(struct scram *s, char const ours[SCRAM_OURS], struct part const *p)
{
  memcpy(s->nonce + s->noncelen, ours, SCRAM_OURS);
  return p->len == s->noncelen + SCRAM_OURS && !memcmp(p->s, s->nonce, p->len);
}

size_t scram_final(struct scram *s, char const ours[SCRAM_OURS], char const *msg, size_t len,
                   unsigned char proof[SCRAM_KEY])
{
  struct part binding, nonce, p;
  size_t pos = 0, n;
  if (len > AUTHWIRE_SCRAM_MAX || !take(&binding, "c=", msg, len, &pos) || !is_binding(s, &binding) ||
      !take(&nonce, "r=", msg, len, &pos) || !is_our_nonce(s, ours, &nonce))
    return 0;
  size_t without_proof = pos - 1;
  while (!take(&p, "p=", msg, len, &pos)) {
    if (!take(&p, "", msg, len, &pos)) return 0; /* an extension, which may be ignored */
    if (p.len >= 2 && !memcmp(p.s, "m=", 2)) return 0;
    without_proof = pos - 1;
  }
  if (pos <= len || !base64_decode((char *)proof, SCRAM_KEY, p.s, p.len, &n) || n != SCRAM_KEY) return 0;
  return without_proof;
}

int scram_nonce(char ours[SCRAM_OURS])
{
  char raw[SCRAM_OURS / 4 * 3];
  if (getrandom(raw, sizeof raw, 0) != sizeof raw) return 0;
  base64_encode(ours, raw, sizeof raw);
  return 1;
}

/* The nonce is only copied: what stands in it is not looked at. */
size_t scram_challenge(char out[AUTHWIRE_SCRAM_MAX], struct scram_keys const *k, char const *nonce,
                       size_t len, char const ours[SCRAM_OURS])
{
  char salt[BASE64_LEN(SCRAM_SALT_MAX)];
  int saltlen = (int)base64_encode(salt, (char const *)k->salt, k->saltlen);
  memcpy(out, "r=", 2);
  memcpy(out + 2, nonce, len);
  len += 2;
  int n = snprintf(out + len, AUTHWIRE_SCRAM_MAX - len, "%.*s,s=%.*s,i=%u", SCRAM_OURS, ours, saltlen, salt,
                   k->iterations);
  return len + (size_t)n;
}
_Static_assert(2 + SCRAM_NONCE_MAX + SCRAM_OURS + 3 + BASE64_LEN(SCRAM_SALT_MAX) + 3 + 10 < AUTHWIRE_SCRAM_MAX,
               "a challenge has no room");

static int sign(unsigned char out[SCRAM_KEY], unsigned char const key[SCRAM_KEY], char const *s, size_t len)
{
  return HMAC(EVP_sha256(), key, SCRAM_KEY, (unsigned char const *)s, len, out, 0) != 0;
}

int scram_check(struct scram_keys const *k, unsigned char const proof[SCRAM_KEY], char const *s, size_t len,
                unsigned char signature[SCRAM_KEY])
{
  unsigned char key[SCRAM_KEY], stored[SCRAM_KEY];
  if (!sign(key, k->stored, s, len)) return -1;
  for (size_t i = 0; i < SCRAM_KEY; i++) key[i] ^= proof[i]; /* the client's key */
  if (EVP_Digest(key, SCRAM_KEY, stored, 0, EVP_sha256(), 0) != 1) return -1;
  if (!sign(signature, k->server, s, len)) return -1;
  return !CRYPTO_memcmp(stored, k->stored, SCRAM_KEY);
}
