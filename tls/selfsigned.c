/* selfsigned.c - make a self-signed certificate (RFC 5280); see selfsigned.h */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <skalibs/strerr.h>

#include "selfsigned.h"

#define VALID_SECONDS (10 * 365 * 86400l)
#define SERIAL_BITS   127
#define COMMON_NAME_MAX 64 /* bytes (RFC 5280, ub-common-name) */

static int set_serial(X509 *x)
{
  BIGNUM *n = BN_new();
  int ok = n && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
           BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
  BN_free(n);
  return ok;
}

static int set_names(X509 *x, char const *name)
{
  char alternative[300], common[COMMON_NAME_MAX + 1];
  X509_NAME *subject = X509_get_subject_name(x);
  snprintf(alternative, sizeof alternative, "DNS:%.255s", name);
  snprintf(common, sizeof common, "%.*s", COMMON_NAME_MAX, name);
  X509_EXTENSION *e = X509V3_EXT_conf_nid(0, 0, NID_subject_alt_name, alternative);
  int ok = e && X509_add_ext(x, e, -1) == 1 &&
           X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC,
                                      (unsigned char *)common, -1, -1, 0) == 1 &&
           X509_set_issuer_name(x, subject) == 1;
  X509_EXTENSION_free(e);
  return ok;
}

static X509 *make(EVP_PKEY *key, char const *name)
{
  X509 *x = X509_new();
  if (x && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) && set_names(x, name) &&
      X509_gmtime_adj(X509_getm_notBefore(x), -86400) &&
      X509_gmtime_adj(X509_getm_notAfter(x), VALID_SECONDS) && X509_set_pubkey(x, key) == 1 &&
      X509_sign(x, key, EVP_sha256()))
    return x;
  X509_free(x);
  return 0;
}

/* As a whole or not at all, and never over another one. */
static int put(char const *path, X509 *x, EVP_PKEY *key)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  FILE *f = fd == -1 ? 0 : fdopen(fd, "w");
  if (!f) {
    strerr_warnwusys("create ", path);
    if (fd != -1) close(fd);
    return 0;
  }
  int ok = PEM_write_X509(f, x) == 1 && PEM_write_PrivateKey(f, key, 0, 0, 0, 0, 0) == 1 &&
           !fflush(f) && !fsync(fd);
  ok = !fclose(f) && ok;
  if (ok) return 1;
  strerr_warnwusys("write ", path);
  unlink(path);
  return 0;
}

int selfsigned_make(char const *name, char const *path)
{
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *x = key ? make(key, name) : 0;
  int ok = x && put(path, x, key);
  if (!x) strerr_warnw("OpenSSL cannot make a certificate for ", name);
  X509_free(x);
  EVP_PKEY_free(key);
  return ok;
}
