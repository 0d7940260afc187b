/* checkpass-scram.c - SCRAM over a socket; see checkpass.h */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base64.h"
#include "checkpass.h"
#include "fdpass.h"
#include "scram.h"

#define RANDOM 18 /* bytes of our part of the nonce */

static int tell(int sock, char kind, char const *s, size_t len)
{
  struct iovec v[2] = { { &kind, 1 }, { (char *)s, len } };
  return fdpass_send(sock, v, 2, 0, 0) == 1;
}

/* The client's next message; its length, -1 with errno. */
static ssize_t hear(int sock, char msg[AUTHWIRE_SCRAM_MAX + 1])
{
  ssize_t n = recv(sock, msg, AUTHWIRE_SCRAM_MAX + 1, MSG_TRUNC);
  if (n == 0) errno = EPIPE;
  if (n <= 0) return -1;
  if (n > AUTHWIRE_SCRAM_MAX + 1 || msg[0] != AUTHWIRE_DATA) return (errno = EPROTO, -1);
  return n - 1;
}

/* For a login that cannot use SCRAM: keys that nobody has, but always the same salt. */
static int invent(struct scram_keys *k, struct passwd_head const *h, char const *login)
{
  struct scram_keys like;
  char const *hash;
  unsigned char salt[SCRAM_KEY];
  k->iterations = SCRAM_ITERATIONS;
  k->saltlen = SCRAM_SALT;
  if (secret_kind(h->dummy, &hash) == SECRET_SCRAM && secret_scram(&like, hash)) {
    k->iterations = like.iterations;
    k->saltlen = like.saltlen < sizeof salt ? like.saltlen : sizeof salt;
  }
  if (!HMAC(EVP_sha256(), h->seed, (int)strlen(h->seed), (unsigned char const *)login, strlen(login), salt, 0))
    return 0;
  memcpy(k->salt, salt, k->saltlen);
  return getrandom(k->stored, sizeof k->stored, 0) == sizeof k->stored &&
         getrandom(k->server, sizeof k->server, 0) == sizeof k->server;
}

/* The keys of s->user. 1; 0: invented ones; -1 with errno. */
static int find_keys(struct checkpass *c, struct scram_keys *k, char const *user)
{
  struct passwd_head h = PASSWD_ZERO;
  char const *hash;
  int r = passwd_find(&c->entry, user, strlen(user));
  if (r == 1 && !secret_is_disabled(c->entry.secret) &&
      secret_kind(c->entry.secret, &hash) == SECRET_SCRAM)
    return secret_scram(k, hash) ? 1 : (errno = EPROTO, -1);
  if (r == -1) return -1;
  r = passwd_head(&h);
  if (r == 0) errno = ENOENT;
  if (r != 1 || !invent(k, &h, user)) return -1;
  return 0;
}

static int challenge(struct scram *s, struct scram_keys const *k)
{
  char raw[RANDOM], text[BASE64_LEN(RANDOM) + 1];
  if (getrandom(raw, sizeof raw, 0) != sizeof raw) return 0;
  text[base64_encode(text, raw, sizeof raw)] = 0;
  return scram_challenge(s, k, text);
}

/* From the client's first message to the last: 1, 0, -1 with errno. */
static int converse(struct checkpass *c, struct scram *s, int sock)
{
  char msg[AUTHWIRE_SCRAM_MAX + 1], last[AUTHWIRE_SCRAM_MAX];
  struct scram_keys k;
  size_t lastlen;
  ssize_t n = hear(sock, msg);
  if (n == -1) return -1;
  if (!scram_first(s, msg + 1, (size_t)n)) return 0;
  int known = find_keys(c, &k, s->user);
  if (known == -1 || !challenge(s, &k)) return -1;
  if (!tell(sock, AUTHWIRE_DATA, s->server, s->serverlen)) return -1;
  n = hear(sock, msg);
  if (n == -1) return -1;
  int r = scram_final(s, &k, msg + 1, (size_t)n, last, &lastlen);
  if (r != 1 || !known) return r == -1 ? (errno = EIO, -1) : 0;
  if (!tell(sock, AUTHWIRE_DATA, last, lastlen)) return -1;
  n = hear(sock, msg);
  return n == -1 ? -1 : n == 0;
}

int checkpass_scram(struct checkpass *c, int sock)
{
  static struct scram s;
  int r = converse(c, &s, sock);
  int e = errno;
  if (r == 1) snprintf(c->login, sizeof c->login, "%s", s.user);
  if (r != -1 && !tell(sock, r ? AUTHWIRE_OK : AUTHWIRE_NO, s.user, strlen(s.user))) r = -1;
  else errno = e;
  close(sock);
  return r;
}
