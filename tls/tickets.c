/* tickets.c - seal and open session tickets (RFC 5077, 4); see tickets.h */

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "clock.h"
#include "tickets.h"

#define NAME_BYTES 16
#define KEY_BYTES  32

struct key {
  unsigned char name[NAME_BYTES];
  unsigned char aes[KEY_BYTES];
  unsigned char hmac[KEY_BYTES];
};

static struct key keys[2]; /* the one that is used, and the one before */
static uint64_t since;     /* when it was made; 0: never */
static EVP_CIPHER *cipher;

static int start(struct key *k, unsigned char *iv, EVP_CIPHER_CTX *c, EVP_MAC_CTX *m, int seal)
{
  OSSL_PARAM const params[] = {
    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->hmac, sizeof k->hmac),
    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
    OSSL_PARAM_construct_end()
  };
  return EVP_CipherInit_ex2(c, cipher, k->aes, iv, seal, 0) == 1 &&
         EVP_MAC_CTX_set_params(m, params) == 1;
}

/* As SSL_CTX_set_tlsext_ticket_key_evp_cb(3) says: 1 done, 2 and a new ticket is wanted, 0 such
 * a key is not known, -1 trouble. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *c,
                     EVP_MAC_CTX *m, int seal)
{
  (void)ssl;
  if (!since) return -1; /* no key of zeros may seal anything */
  if (seal) {
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(cipher)) != 1) return -1;
    memcpy(name, keys[0].name, NAME_BYTES);
    return start(&keys[0], iv, c, m, 1) ? 1 : -1;
  }
  for (int i = 0; i < 2; i++)
    if (!memcmp(name, keys[i].name, NAME_BYTES)) return start(&keys[i], iv, c, m, 0) ? 1 + i : -1;
  return 0;
}

int tickets_use(SSL_CTX *ctx)
{
  if (!cipher) cipher = EVP_CIPHER_fetch(0, "AES-256-CBC", 0);
  SSL_CTX_set_timeout(ctx, TICKETS_SECONDS);
  return cipher && SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
}

int tickets_renew(void)
{
  uint64_t now = clock_ms();
  if (since && now - since < TICKETS_SECONDS * 1000) return 1;
  keys[1] = keys[0];
  if (RAND_priv_bytes((unsigned char *)&keys[0], sizeof keys[0]) != 1) return 0;
  if (!since) keys[1] = keys[0]; /* nor open anything */
  since = now;
  return 1;
}
