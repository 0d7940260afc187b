/* peer.c - judge a TLS server's certificate; see peer.h */

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "peer.h"

#define ADDRESS_ROOM 64
#define PRINT_BYTES  32 /* SHA-256 */

int peer_take(struct peer *p, char level, char const *s, size_t len)
{
  if (level != TLSWIRE_MAY && level != TLSWIRE_ENCRYPT && level != TLSWIRE_VERIFY) return 0;
  *p = (struct peer){ .level = level, .verified = TLSWIRE_NOT };
  for (size_t i = 0; i < TLSWIRE_STRINGS; i++) {
    char const *end = len ? memchr(s, 0, len) : 0;
    if (!end) return 0;
    p->strings[i] = s;
    len -= (size_t)(end - s) + 1;
    s = end + 1;
  }
  return !len;
}

/* --- fingerprints --- */

static int digest(char hex[2 * PRINT_BYTES], unsigned char *der, int len)
{
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  int ok = len > 0 && EVP_Digest(der, (size_t)len, sum, &n, EVP_sha256(), 0) == 1 && n == PRINT_BYTES;
  OPENSSL_free(der);
  for (unsigned int i = 0; ok && i < PRINT_BYTES; i++) {
    hex[2 * i] = "0123456789abcdef"[sum[i] >> 4];
    hex[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
  }
  return ok;
}

static int is_listed(char const *list, char const hex[2 * PRINT_BYTES])
{
  for (char const *s = list; s; s = strchr(s, ',')) {
    if (*s == ',') s++;
    if (strcspn(s, ",") == 2 * PRINT_BYTES && !memcmp(s, hex, 2 * PRINT_BYTES)) return 1;
  }
  return 0;
}

static int has_print(X509 *leaf, char const *list)
{
  char hex[2 * PRINT_BYTES];
  unsigned char *der = 0;
  int len = i2d_X509(leaf, &der);
  if (digest(hex, der, len) && is_listed(list, hex)) return 1;
  der = 0;
  len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
  return digest(hex, der, len) && is_listed(list, hex);
}

/* --- names --- */

static int has_name(X509 *leaf, char const *s, size_t len)
{
  char address[ADDRESS_ROOM];
  if (len > 2 && *s == '[' && s[len - 1] == ']') {
    if (len - 2 >= sizeof address) return 0;
    memcpy(address, s + 1, len - 2);
    address[len - 2] = 0;
    return X509_check_ip_asc(leaf, address, 0) == 1;
  }
  return len && X509_check_host(leaf, s, len,
                                X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                                0) == 1;
}

static int has_any_name(X509 *leaf, char const *list)
{
  for (char const *s = list; s; s = strchr(s, ',')) {
    if (*s == ',') s++;
    if (has_name(leaf, s, strcspn(s, ","))) return 1;
  }
  return 0;
}

/* --- the verdict --- */

static void not_signed(struct peer *p, int error)
{
  char path[STORES_PATH_ROOM];
  stores_path(p->stores, path, p->strings[TLSWIRE_CA]);
  snprintf(p->why, sizeof p->why, "certificate: %s; CAs asked: %s", X509_verify_cert_error_string(error),
           path);
}

static int judge(struct peer *p, X509_STORE_CTX *store)
{
  X509 *leaf = X509_STORE_CTX_get0_cert(store);
  if (*p->strings[TLSWIRE_PRINTS]) {
    p->verified = TLSWIRE_PRINTED;
    if (leaf && has_print(leaf, p->strings[TLSWIRE_PRINTS])) return 1;
    snprintf(p->why, sizeof p->why, "certificate has another fingerprint");
  } else if (X509_verify_cert(store) != 1) {
    not_signed(p, X509_STORE_CTX_get_error(store));
  } else {
    p->verified = TLSWIRE_VERIFIED;
    if (has_any_name(leaf, p->strings[TLSWIRE_MATCH])) return 1;
    snprintf(p->why, sizeof p->why, "certificate is not for %.150s", p->strings[TLSWIRE_MATCH]);
  }
  p->verified = TLSWIRE_NOT;
  return 0;
}

/* The answer to OpenSSL decides whether the handshake goes on. */
static int on_certificate(X509_STORE_CTX *store, void *arg)
{
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  struct peer *p = SSL_get_app_data(ssl);
  (void)arg;
  int holds = judge(p, store);
  if (holds || p->level != TLSWIRE_VERIFY) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  if (X509_STORE_CTX_get_error(store) == X509_V_OK)
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

/* Where TLS is better than none, weaker keys are too: what the level asks for would lead to mail in
 * clear. */
#define MAY_SECURITY 1

static char const *no_store(struct peer *p)
{
  char path[STORES_PATH_ROOM];
  stores_path(p->stores, path, p->strings[TLSWIRE_CA]);
  snprintf(p->why, sizeof p->why, "%s: no such file, or no CA in it", path);
  return p->why;
}

char const *peer_expect(struct peer *p, SSL *ssl, struct stores const *stores)
{
  X509_STORE *store = stores_find(stores, p->strings[TLSWIRE_CA]);
  char const *host = p->strings[TLSWIRE_HOST];
  p->stores = stores;
  if (!store) return no_store(p);
  if (SSL_set1_verify_cert_store(ssl, store) != 1 || SSL_set_app_data(ssl, p) != 1 ||
      (*host && SSL_set_tlsext_host_name(ssl, host) != 1))
    return "out of memory";
  if (p->level == TLSWIRE_MAY && SSL_get_security_level(ssl) > MAY_SECURITY)
    SSL_set_security_level(ssl, MAY_SECURITY);
  SSL_set_verify(ssl, SSL_VERIFY_PEER, 0);
  SSL_CTX_set_cert_verify_callback(SSL_get_SSL_CTX(ssl), on_certificate, 0);
  SSL_set_connect_state(ssl);
  return 0;
}
