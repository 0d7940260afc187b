/* context.c - make an SSL_CTX by the control files, and keep it up to date; see context.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/err.h>

#include <skalibs/strerr.h>

#include "context.h"
#include "control.h"
#include "filestamp.h"
#include "home.h"
#include "tickets.h"
#include "warmup.h"

#define SESSIONS_MAX 20000
#define CLIENT_CA    "clientca.pem"

/* The control files of each role. */
enum { CIPHERS, GROUPS, VERSION, CONCURRENCY, FILES };
static char const *const server_files[FILES] = { "tlsserverciphers", "tlsservergroups",
                                                 "tlsserverversion", "concurrencytlsd" };
static char const *const client_files[FILES] = { "tlsclientciphers", "tlsclientgroups",
                                                 "tlsclientversion", "concurrencytlsc" };
#define SESSIONS        500
#define CLIENT_SESSIONS 1000 /* as many as pipit-rspawn has workers */

static int is_client(struct context const *c)
{
  return c->role == TLSWIRE_CLIENT;
}

static char const *const *files_of(struct context const *c)
{
  return is_client(c) ? client_files : server_files;
}

char const *context_limit(struct context const *c)
{
  return files_of(c)[CONCURRENCY];
}

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

static int set_ciphers(SSL_CTX *ctx, char const *file, stralloc *sa)
{
  char const *s;
  if (!read_text(file, sa, &s)) return 0;
  return !*s || SSL_CTX_set_cipher_list(ctx, s) == 1 ||
         control_bad(file, "no list of ciphers that OpenSSL knows (openssl ciphers -v LIST)") !=
             -1;
}

static int set_groups(SSL_CTX *ctx, char const *file, stralloc *sa)
{
  char const *s;
  if (!read_text(file, sa, &s)) return 0;
  return !*s || SSL_CTX_set1_groups_list(ctx, s) == 1 ||
         control_bad(file, "no list of groups that OpenSSL knows, as X25519:P-256") != -1;
}

static int set_version(SSL_CTX *ctx, char const *file, stralloc *sa)
{
  char const *s;
  if (!read_text(file, sa, &s)) return 0;
  if (*s && strcmp(s, "1.2") && strcmp(s, "1.3"))
    return control_bad(file, "write 1.2 or 1.3, the lowest version that is spoken") != -1;
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
static int prepare_server(SSL_CTX *ctx, struct certs *certs)
{
  static unsigned char const id[] = "pipit";
  SSL_CTX_set_num_tickets(ctx, 1);
  SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
  SSL_CTX_set_cert_cb(ctx, on_certificate, certs);
  return SSL_CTX_set_session_id_context(ctx, id, sizeof id) == 1 && tickets_use(ctx);
}

static SSL_CTX *make(struct context *c)
{
  SSL_CTX *ctx = SSL_CTX_new(is_client(c) ? TLS_client_method() : TLS_server_method());
  if (!ctx) return 0;
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(ctx, 1);
  if (is_client(c) || prepare_server(ctx, &c->certs)) return ctx;
  SSL_CTX_free(ctx);
  return 0;
}

static int set_me(struct certs *certs, stralloc *sa)
{
  if (control_line_or_me("me", sa) == -1) return 0;
  snprintf(certs->me, sizeof certs->me, "%s", sa->s);
  return 1;
}

static int set_by_files(struct context *c, SSL_CTX *ctx, stralloc *sa)
{
  char const *const *f = files_of(c);
  return set_ciphers(ctx, f[CIPHERS], sa) && set_groups(ctx, f[GROUPS], sa) &&
         set_version(ctx, f[VERSION], sa) &&
         (is_client(c) || (set_client_ca(ctx) && set_me(&c->certs, sa)));
}

/* Take the control files as they are now. 1, or 0 and <*why>. */
static int read_settings(struct context *c, char const **why)
{
  stralloc sa = STRALLOC_ZERO;
  unsigned long sessions = is_client(c) ? CLIENT_SESSIONS : SESSIONS;
  SSL_CTX *ctx = make(c);
  *why = "OpenSSL cannot make a context";
  if (!ctx) return 0;
  int ok = control_number(context_limit(c), &sessions, SESSIONS_MAX) != -1 &&
           set_by_files(c, ctx, &sa);
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

static uint64_t stamp_of_files(struct context const *c)
{
  char path[sizeof "control/" + 32];
  uint64_t stamp = FILESTAMP_START;
  for (size_t i = 0; i < FILES; i++) {
    snprintf(path, sizeof path, "control/%s", files_of(c)[i]);
    stamp = filestamp_add(stamp, home_fd(), path);
  }
  if (is_client(c)) return stores_stamp(stamp);
  stamp = filestamp_add(stamp, home_fd(), "control/me");
  return filestamp_add(stamp, home_fd(), "control/" CLIENT_CA);
}

static int load_stores(struct context *c)
{
  if (stores_read(&c->stores)) return 1;
  strerr_warnw("out of memory for certificates of CAs");
  return 0;
}

static int load_certs(struct context *c)
{
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

void context_changed(struct context *c)
{
  c->have = atomic_fetch_add(c->changes, 1) + 1;
}

int context_is_current(struct context const *c)
{
  return *c->changes == c->have;
}

int context_load(struct context *c)
{
  char const *why;
  c->changes = mmap(0, sizeof *c->changes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (c->changes == MAP_FAILED) {
    strerr_warnwusys("get memory");
    return 0;
  }
  c->stamp = stamp_of_files(c);
  if (!read_settings(c, &why)) {
    strerr_warnw(why);
    return 0;
  }
  return is_client(c) ? load_stores(c) : load_certs(c);
}

static int refresh_certs(struct context *c, int changed, int always)
{
  int r = loader_ask(&c->loader, always);
  if (r == 1) {
    context_changed(c);
    changed = 1;
    r = certs_read(&c->certs, &c->loader);
    if (r == 0) strerr_warnw("out of memory for certificates; the old ones stay");
    if (r == 1) strerr_warni("certificates read");
  }
  if (changed) warmup(c->ctx);
  return r != -1;
}

int context_refresh(struct context *c, int always)
{
  char const *why;
  uint64_t stamp = stamp_of_files(c);
  int changed = always || stamp != c->stamp;
  if (changed) {
    context_changed(c);
    if (is_client(c)) load_stores(c);
    c->stale = !read_settings(c, &why);
    if (!c->stale) strerr_warni("settings read");
    else strerr_warnw(why, "; the old settings stay");
  }
  c->stamp = stamp;
  return is_client(c) || refresh_certs(c, changed, always);
}
