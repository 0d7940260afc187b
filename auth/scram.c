/* scram.c - RFC 5802, 3, 5 and 7; see scram.h */

#include <stdio.h>
#include <string.h>

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

int scram_challenge(struct scram *s, struct scram_keys const *k, char const *random)
{
  char salt[BASE64_LEN(SCRAM_SALT_MAX)];
  size_t n = strlen(random);
  if (n > sizeof s->nonce - s->noncelen) return 0;
  memcpy(s->nonce + s->noncelen, random, n);
  s->noncelen += n;
  size_t saltlen = base64_encode(salt, (char const *)k->salt, k->saltlen);
  int len = snprintf(s->server, sizeof s->server, "r=%.*s,s=%.*s,i=%u", (int)s->noncelen, s->nonce,
                     (int)saltlen, salt, k->iterations);
  s->serverlen = (size_t)len;
  return len > 0 && (size_t)len < sizeof s->server;
}

/* Is it the gs2 header of the first message, in base64? */
static int is_binding(struct scram const *s, struct part const *p)
{
  char expected[BASE64_LEN(AUTHWIRE_SCRAM_MAX)];
  size_t n = base64_encode(expected, s->first, s->headerlen);
  return n == p->len && !memcmp(expected, p->s, n);
}

/* The client's first message bare, the server's first one, the client's final one up to its proof. */
static size_t auth_message(struct scram const *s, char out[3 * AUTHWIRE_SCRAM_MAX + 2], char const *msg,
                           size_t without_proof)
{
  size_t bare = s->firstlen - s->headerlen;
  size_t n = 0;
  memcpy(out, s->first + s->headerlen, bare);
  n += bare;
  out[n++] = ',';
  memcpy(out + n, s->server, s->serverlen);
  n += s->serverlen;
  out[n++] = ',';
  memcpy(out + n, msg, without_proof);
  return n + without_proof;
}

static int sign(unsigned char out[SCRAM_KEY], unsigned char const key[SCRAM_KEY], char const *text,
                size_t len)
{
  return HMAC(EVP_sha256(), key, SCRAM_KEY, (unsigned char const *)text, len, out, 0) != 0;
}

/* Read the message: 1, the proof, and how long it is without that. */
static int take_final(struct scram const *s, char const *msg, size_t len,
                      unsigned char proof[SCRAM_KEY], size_t *without_proof)
{
  struct part binding, nonce, p;
  size_t pos = 0, n;
  if (len > AUTHWIRE_SCRAM_MAX || !take(&binding, "c=", msg, len, &pos) || !is_binding(s, &binding) ||
      !take(&nonce, "r=", msg, len, &pos))
    return 0;
  if (nonce.len != s->noncelen || memcmp(nonce.s, s->nonce, nonce.len)) return 0;
  *without_proof = pos - 1;
  while (!take(&p, "p=", msg, len, &pos)) {
    if (!take(&p, "", msg, len, &pos)) return 0; /* an extension, which may be ignored */
    if (p.len >= 2 && !memcmp(p.s, "m=", 2)) return 0;
    *without_proof = pos - 1;
  }
  return pos > len && base64_decode((char *)proof, SCRAM_KEY, p.s, p.len, &n) && n == SCRAM_KEY;
}

int scram_final(struct scram const *s, struct scram_keys const *k, char const *msg, size_t len,
                char out[AUTHWIRE_SCRAM_MAX], size_t *outlen)
{
  char text[3 * AUTHWIRE_SCRAM_MAX + 2];
  unsigned char proof[SCRAM_KEY], signature[SCRAM_KEY], stored[SCRAM_KEY];
  size_t without_proof;
  if (!take_final(s, msg, len, proof, &without_proof)) return 0;
  size_t textlen = auth_message(s, text, msg, without_proof);
  if (!sign(signature, k->stored, text, textlen)) return -1;
  for (size_t i = 0; i < SCRAM_KEY; i++) proof[i] ^= signature[i]; /* the client's key */
  if (EVP_Digest(proof, SCRAM_KEY, stored, 0, EVP_sha256(), 0) != 1) return -1;
  if (!sign(signature, k->server, text, textlen)) return -1;
  if (CRYPTO_memcmp(stored, k->stored, SCRAM_KEY)) return 0;
  memcpy(out, "v=", 2);
  *outlen = 2 + base64_encode(out + 2, (char const *)signature, SCRAM_KEY);
  return 1;
}
