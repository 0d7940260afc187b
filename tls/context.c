/* context.c - make an SSL_CTX by the control files, and keep it up to date; see context.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>

#include <skalibs/strerr.h>

#include "context.h"
#include "control.h"
#include "filestamp.h"
#include "home.h"
#include "tickets.h"
#include "warmup.h"

#define SESSIONS       500
#define SESSIONS_MAX   20000
#define CLIENT_CA      "clientca.pem"
#define CIPHERS        "tlsserverciphers"
#define GROUPS         "tlsservergroups"
#define VERSION        "tlsserverversion"
#define CONCURRENCY    "concurrencytlsd"

static char const *const files[] = { "control/me",      "control/" CLIENT_CA,
                                     "control/" CIPHERS, "control/" GROUPS,
                                     "control/" VERSION, "control/" CONCURRENCY };

/* --- while a client says hello --- */

static int on_name(SSL *ssl, int *alert, void *arg)
{
  (void)alert;
  (void)arg;
  return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) ? SSL_TLSEXT_ERR_OK
                                                            : SSL_TLSEXT_ERR_NOACK;
}

static int on_certificate(SSL *ssl, void *arg)
{
  struct cert const *c = certs_find(arg, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
  return c && SSL_use_cert_and_key(ssl, c->leaf, c->key, c->chain, 1) == 1;
}

/* Whether a client's certificate holds decides nothing here: the result says whose it is if it
 * does. */
static int on_client(int ok, X509_STORE_CTX *store)
{
  (void)ok;
  (void)store;
  return 1;
}

/* --- settings --- */

/* control_line, with the file's text in <*s>, which stays: "" where there is no file. */
static int read_text(char const *name, stralloc *sa, char const **s)
{
  int r = control_line(name, sa);
  *s = r == 1 ? sa->s : "";
  return r != -1;
}

static int set_ciphers(SSL_CTX *ctx, stralloc *sa)
{
  char const *s;
  if (!read_text(CIPHERS, sa, &s)) return 0;
  return !*s || SSL_CTX_set_cipher_list(ctx, s) == 1 ||
         control_bad(CIPHERS, "no list of ciphers that OpenSSL knows (openssl ciphers -v LIST)") !=
             -1;
}

static int set_groups(SSL_CTX *ctx, stralloc *sa)
{
  char const *s;
  if (!read_text(GROUPS, sa, &s)) return 0;
  return !*s || SSL_CTX_set1_groups_list(ctx, s) == 1 ||
         control_bad(GROUPS, "no list of groups that OpenSSL knows, as X25519:P-256") != -1;
}

static int set_version(SSL_CTX *ctx, stralloc *sa)
{
  char const *s;
  if (!read_text(VERSION, sa, &s)) return 0;
  if (*s && strcmp(s, "1.2") && strcmp(s, "1.3"))
    return control_bad(VERSION, "write 1.2 or 1.3, the lowest version that is spoken") != -1;
  return SSL_CTX_set_min_proto_version(ctx, strcmp(s, "1.3") ? TLS1_2_VERSION : TLS1_3_VERSION) ==
         1;
}

/* Clients are asked for a certificate only where there is somebody to vouch for it. */
static int set_client_ca(SSL_CTX *ctx)
{
  static char const path[] = "control/" CLIENT_CA; /* the home is the current directory */
  if (faccessat(home_fd(), path, R_OK, AT_EACCESS) == -1)
    return errno == ENOENT || control_bad(CLIENT_CA, strerror(errno)) != -1;
  STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
  if (!names || SSL_CTX_load_verify_file(ctx, path) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return control_bad(CLIENT_CA, "no certificates in PEM form") != -1;
  }
  SSL_CTX_set_client_CA_list(ctx, names);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_client);
  return 1;
}

/* All but the control files. */
static SSL_CTX *make(struct certs *certs)
{
  static unsigned char const id[] = "pipit";
  SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
  if (!ctx) return 0;
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ctx, 1);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
  SSL_CTX_set_cert_cb(ctx, on_certificate, certs);
  if (SSL_CTX_set_session_id_context(ctx, id, sizeof id) == 1 && tickets_use(ctx)) return ctx;
  SSL_CTX_free(ctx);
  return 0;
}

static int set_me(struct certs *certs, stralloc *sa)
{
  if (control_line_or_me("me", sa) == -1) return 0;
  snprintf(certs->me, sizeof certs->me, "%s", sa->s);
  return 1;
}

/* Take the control files as they are now. 1, or 0 and <*why>. */
static int read_settings(struct context *c, char const **why)
{
  stralloc sa = STRALLOC_ZERO;
  unsigned long sessions = SESSIONS;
  SSL_CTX *ctx = make(&c->certs);
  *why = "OpenSSL cannot make a context";
  if (!ctx) return 0;
  int ok = control_number(CONCURRENCY, &sessions, SESSIONS_MAX) != -1 && set_ciphers(ctx, &sa) &&
           set_groups(ctx, &sa) && set_version(ctx, &sa) && set_client_ca(ctx) &&
           set_me(&c->certs, &sa);
  *why = control_why();
  ERR_clear_error();
  stralloc_free(&sa);
  if (!ok) {
    SSL_CTX_free(ctx);
    return 0;
  }
  SSL_CTX_free(c->ctx);
  c->ctx = ctx;
  c->sessions = sessions;
  return 1;
}

static uint64_t stamp_of_files(void)
{
  uint64_t stamp = FILESTAMP_START;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    stamp = filestamp_add(stamp, home_fd(), files[i]);
  return stamp;
}

int context_load(struct context *c)
{
  char const *why;
  c->stamp = stamp_of_files();
  if (!read_settings(c, &why)) {
    strerr_warnw(why);
    return 0;
  }
  if (loader_ask(&c->loader, 1) != 1 || certs_read(&c->certs, &c->loader) != 1) {
    strerr_warnw("the process that reads keys has ended");
    return 0;
  }
  if (c->certs.count) {
    warmup(c->ctx);
    return 1;
  }
  strerr_warnw(home_dir(), "/" LOADER_SERVERCERT ": no certificate here nor in " LOADER_CERTS
               "; make one with pipit-tlsd -g NAME FILE");
  return 0;
}

int context_refresh(struct context *c, int always)
{
  char const *why;
  uint64_t stamp = stamp_of_files();
  int changed = always || stamp != c->stamp;
  if (changed) {
    if (read_settings(c, &why)) strerr_warni("settings read");
    else strerr_warnw(why, "; the old settings stay");
  }
  c->stamp = stamp;
  int r = loader_ask(&c->loader, always);
  if (r == 1) {
    changed = 1;
    r = certs_read(&c->certs, &c->loader);
    if (r == 0) strerr_warnw("out of memory for certificates; the old ones stay");
    if (r == 1) strerr_warni("certificates read");
  }
  if (changed) warmup(c->ctx);
  return r != -1;
}
