/* certs.c - read certificates and keys, keep them, find one; see certs.h */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include <skalibs/strerr.h>

#include "certs.h"
#include "fileat.h"
#include "filestamp.h"
#include "home.h"

/* --- one certificate --- */

static void forget(struct cert *c)
{
  X509_free(c->leaf);
  sk_X509_pop_free(c->chain, X509_free);
  EVP_PKEY_free(c->key);
}

/* The content of a file, as a BIO in memory that is wiped when it is freed; NULL with errno. */
static BIO *open_text(int fd)
{
  struct stat st;
  if (fstat(fd, &st) == -1) return 0;
  if (st.st_size > CERTS_FILE_MAX) return (errno = EFBIG, (BIO *)0);
  size_t size = (size_t)st.st_size;
  char *s = OPENSSL_malloc(size + 1);
  BIO *b = s ? BIO_new(BIO_s_secmem()) : 0;
  ssize_t n = b ? fileat_read(fd, s, size, 0) : -1;
  if (n == -1 || (n && BIO_write(b, s, (int)n) != n)) {
    BIO_free(b);
    b = 0;
  }
  OPENSSL_clear_free(s, size + 1);
  return b;
}

/* A key with a passphrase is of no use to a service: never ask for one. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
  (void)buf;
  (void)size;
  (void)rwflag;
  (void)arg;
  return -1;
}

static int read_chain(struct cert *c, BIO *b)
{
  c->leaf = PEM_read_bio_X509_AUX(b, 0, no_passphrase, 0);
  c->chain = sk_X509_new_null();
  if (!c->leaf || !c->chain) return 0;
  for (X509 *x; (x = PEM_read_bio_X509(b, 0, no_passphrase, 0));)
    if (!sk_X509_push(c->chain, x)) {
      X509_free(x);
      return 0;
    }
  int end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (end) ERR_clear_error();
  return end;
}

static int read_key(struct cert *c, BIO *b)
{
  c->key = PEM_read_bio_PrivateKey(b, 0, no_passphrase, 0);
  return c->key && X509_check_private_key(c->leaf, c->key) == 1;
}

/* 1, or 0 and <*why>. */
static int read_cert(struct cert *c, int const fd[2], char const **why)
{
  BIO *chain = open_text(fd[0]);
  BIO *key = chain ? open_text(fd[1] == -1 ? fd[0] : fd[1]) : 0;
  ERR_clear_error();
  int ok = key && read_chain(c, chain) && read_key(c, key);
  unsigned long e = ERR_peek_last_error();
  if (!key) *why = strerror(errno);
  else if (!c->leaf) *why = "no certificate in it";
  else if (!c->key) *why = "no private key without a passphrase in it";
  else *why = e && ERR_reason_error_string(e) ? ERR_reason_error_string(e) : "damaged";
  ERR_clear_error();
  BIO_free(chain);
  BIO_free(key);
  return ok;
}

/* --- all of them --- */

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static int by_name(void const *a, void const *b)
{
  return strcmp(((struct cert const *)a)->name, ((struct cert const *)b)->name);
}

/* That of exactly this name. */
static struct cert const *named(struct certs const *c, char const *name)
{
  struct cert key;
  if (!c->count || strlen(name) >= sizeof key.name) return 0;
  memcpy(key.name, name, strlen(name) + 1);
  return bsearch(&key, c->list, c->count, sizeof *c->list, by_name);
}

static void share(struct cert *to, struct cert const *from)
{
  *to = *from;
  X509_up_ref(to->leaf);
  EVP_PKEY_up_ref(to->key);
  to->chain = X509_chain_up_ref(from->chain);
}

static uint64_t stamp_of(int const fd[2])
{
  uint64_t sum = FILESTAMP_START;
  struct stat st;
  for (int i = 0; i < 2; i++)
    if (fd[i] != -1) sum = filestamp_stat(sum, fstat(fd[i], &st) == 0 ? &st : 0);
  return sum;
}

/* Make <c> of what has come: 1; or of what was there before: 2; or 0: there is none. */
static int take(struct cert *c, struct certs const *before, struct loader_file const *f,
                int const fd[2])
{
  char const *why = strerror(f->error);
  memset(c, 0, sizeof *c);
  for (size_t i = 0; f->name[i]; i++)
    c->name[i] = lower(f->name[i]);
  c->stamp = f->error ? 0 : stamp_of(fd);
  struct cert const *old = named(before, c->name);
  if (old && old->stamp == c->stamp) return (share(c, old), 1);
  if (!f->error && read_cert(c, fd, &why)) return 1;
  strerr_warnw(home_dir(), "/", f->path, ": ", why,
               old ? "; the old one stays" : "; it is left out");
  forget(c);
  if (old) share(c, old);
  return old ? 2 : 0;
}

/* Make room for one more. */
static int reserve(struct certs *c)
{
  if (c->count & (c->count + 1)) return 1; /* not one below a power of two */
  struct cert *list = realloc(c->list, 2 * (c->count + 1) * sizeof *list);
  if (list) c->list = list;
  return !!list;
}

static void forget_all(struct certs *c)
{
  for (size_t i = 0; i < c->count; i++) forget(&c->list[i]);
  free(c->list);
}

int certs_read(struct certs *c, struct loader const *l)
{
  struct certs fresh = { .count = 0 };
  struct loader_file f;
  int fd[2], r, ok = 1;
  while ((r = loader_next(l, &f, fd)) == 1) {
    ok = ok && reserve(&fresh);
    int took = ok ? take(&fresh.list[fresh.count], c, &f, fd) : 0;
    fresh.count += took > 0;
    fresh.stale |= took == 2;
    for (int i = 0; i < 2; i++)
      if (fd[i] != -1) close(fd[i]);
  }
  if (r == -1 || !ok) {
    forget_all(&fresh);
    return r;
  }
  if (fresh.count) {
    qsort(fresh.list, fresh.count, sizeof *fresh.list, by_name);
    forget_all(c);
    c->list = fresh.list;
    c->count = fresh.count;
    c->stale = fresh.stale;
  } else {
    forget_all(&fresh);
    c->stale = 1;
    if (c->count)
      strerr_warnw(home_dir(), "/control: there is no certificate any more; the old ones stay");
  }
  return 1;
}

/* The one of that name, or for *.parent. */
static struct cert const *fitting(struct certs const *c, char const *name)
{
  char key[CERTS_NAME_MAX + 1];
  size_t len = name ? strlen(name) : 0;
  if (!len || len >= sizeof key || *name == '*') return 0;
  for (size_t i = 0; i <= len; i++) key[i] = lower(name[i]);
  struct cert const *found = named(c, key);
  char *dot = strchr(key, '.');
  if (found || !dot || dot == key) return found;
  dot[-1] = '*';
  return named(c, dot - 1);
}

struct cert const *certs_find(struct certs const *c, char const *name)
{
  struct cert const *found = fitting(c, name);
  if (!found) found = named(c, LOADER_DEFAULT);
  if (!found) found = fitting(c, c->me);
  if (!found) found = named(c, "");
  return found ? found : c->count ? c->list : 0;
}
