/* routewords.c - what a route says beside its relay; see routewords.h */

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "authcwire.h"
#include "routewords.h"
#include "tlspolicy.h"
#include "word.h"

#define BLANKS      " \t"
#define SHOWN       100 /* bytes of a bad part that a message shows */
#define TLS_SHOWN   60  /* bytes of the words on TLS that the name of a next hop has; else a hash */
#define HASH_ROOM   24

static char fault[256];

char const *routewords_fault(void)
{
  return fault;
}

int routewords_bad(char const *what, char const *s, size_t len)
{
  snprintf(fault, sizeof fault, "%s: %.*s", what, (int)(len < SHOWN ? len : SHOWN), s);
  return 0;
}

static int starts(char const *s, size_t len, char const *prefix)
{
  size_t n = strlen(prefix);
  return len >= n && !strncmp(s, prefix, n);
}

/* --- no relay --- */

static int take_text(struct route *r, enum route_kind kind, char const *text, int may_be_empty)
{
  size_t len = strlen(text);
  text += strspn(text, BLANKS);
  r->kind = kind;
  r->fixed = 1;
  if (len >= sizeof r->name) routewords_bad("the text is too long", text, len);
  else if (!*text && !may_be_empty) routewords_bad("write why, for whoever sent the mail", "", 0);
  else memcpy(r->name, text, strlen(text) + 1);
  return 1;
}

int routewords_verdict(struct route *r, char const *value)
{
  *fault = 0;
  value += strspn(value, BLANKS);
  if (starts(value, strlen(value), "error=")) return take_text(r, ROUTE_REFUSE, value + 6, 0);
  if (starts(value, strlen(value), "defer=")) return take_text(r, ROUTE_DEFER, value + 6, 0);
  if (starts(value, strlen(value), ROUTEWORDS_LOCAL)) return take_text(r, ROUTE_LOCAL, value + 6, 1);
  return 0;
}

/* --- words --- */

static int is_tls(char const *s, size_t len)
{
  static char const *const words[] = { "none", "may", "encrypt", "verify", "wrapper" };
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (word_is(s, len, words[i])) return 1;
  return starts(s, len, "match=") || starts(s, len, "ca=") || starts(s, len, "fingerprint=");
}

static int is_word(char const *s, size_t len)
{
  return is_tls(s, len) || starts(s, len, "auth=") || starts(s, len, "bind=");
}

size_t routewords_server(char const *value)
{
  size_t len = strcspn(value, BLANKS "|");
  return memchr(value, '=', len) ? 0 : len;
}

static int add_tls(struct route *r, char const *s, size_t len)
{
  size_t was = strlen(r->tls);
  if (was + 1 + len >= sizeof r->tls) return routewords_bad("too much on TLS", s, len);
  if (was) r->tls[was++] = ' ';
  memcpy(r->tls + was, s, len);
  r->tls[was + len] = 0;
  return 1;
}

/* "clear", or the name of a mechanism. */
static int take_how(struct route *r, char const *s, size_t len)
{
  static char const *const names[AUTHCWIRE_COUNT] = AUTHCWIRE_NAMES;
  if (word_is(s, len, "clear")) return r->clear = 1;
  for (int i = 0; i < AUTHCWIRE_COUNT; i++)
    if (word_is(s, len, names[i])) return r->mechanisms |= 1 << i;
  return 0;
}

/* NAME and how, with commas between them. */
static int take_auth(struct route *r, char const *s, size_t len)
{
  char const *end = s + len;
  static char const plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@+";
  size_t n = strspn(s, plain);
  if (n > len) n = len;
  if (*r->auth) return routewords_bad("auth= stands there twice", s, len);
  int ok = n && n < sizeof r->auth;
  if (ok) memcpy(r->auth, s, n);
  for (char const *p = s + n; ok && p < end; p += n) {
    p++;
    n = strcspn(p, ", \t");
    ok = p[-1] == ',' && take_how(r, p, n);
  }
  return ok || routewords_bad("write auth=NAME, auth=NAME,clear or auth=NAME,MECHANISM, with the "
                              "NAME of a line in control/smtpcredentials", s, len);
}

static int bind_one(struct dns_ip bind[ROUTE_BINDS], char const *s, size_t len)
{
  struct dns_ip ip;
  if (!route_scan_ip(&ip, s, len)) return 0;
  struct dns_ip *to = bind + (ip.family == AF_INET6);
  if (to->family) return 0;
  *to = ip;
  return 1;
}

int routewords_bind(struct dns_ip bind[ROUTE_BINDS], char const *s, size_t len)
{
  char const *end = s + len, *comma;
  for (; (comma = memchr(s, ',', (size_t)(end - s))); s = comma + 1)
    if (!bind_one(bind, s, (size_t)(comma - s))) return 0;
  return bind_one(bind, s, (size_t)(end - s));
}

static int take_word(struct route *r, char const *s, size_t len)
{
  if (is_tls(s, len)) return add_tls(r, s, len);
  if (starts(s, len, "auth=")) return take_auth(r, s + 5, len - 5);
  if (!starts(s, len, "bind="))
    return routewords_bad("neither a word of a route nor a relay, which stands right behind the colon", s, len);
  return routewords_bind(r->bind, s + 5, len - 5) ||
         routewords_bad("write bind= and an address, or one of each family with a comma", s, len);
}

static int is_clean(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (s[i] <= 32 || s[i] > 126 || s[i] == ';') return 0;
  return 1;
}

/* As patches of qmail write it. */
static int take_login(struct route *r, char const *user, size_t userlen, char const *secret, size_t len)
{
  if (!userlen || userlen >= sizeof r->auth || !is_clean(user, userlen) || !len ||
      len >= sizeof r->secret)
    return routewords_bad("write user and password into control/smtpcredentials, and auth=NAME here", "", 0);
  memcpy(r->auth, user, userlen);
  memcpy(r->secret, secret, len);
  return 1;
}

static int check_tls(struct route *r)
{
  struct tlspolicy p;
  char const *why = *r->tls ? tlspolicy_parse(&p, r->tls) : 0;
  if (why) return routewords_bad(why, r->tls, strlen(r->tls));
  /* Who gets a password has to be the one that it is for. */
  return strcmp(r->tls, "wrapper") || !*r->auth || add_tls(r, "verify", 6);
}

/* Credentials are for one relay, not for whoever has the mail exchangers. */
static int check(struct route *r)
{
  if (!check_tls(r)) return 0;
  return !*r->auth || r->kind != ROUTE_MX || routewords_bad("a login needs a relay", r->auth, strlen(r->auth));
}

int routewords_take(struct route *r, char const *s)
{
  *fault = 0;
  if (*s == '|') {
    char const *bar = strchr(++s, '|');
    size_t len = bar ? (size_t)(bar - s) : 0;
    return take_login(r, s, len, s + len + (len != 0), len ? strlen(s + len + 1) : 0) && check(r);
  }
  s += strspn(s, BLANKS);
  size_t first = strcspn(s, BLANKS), gap = strspn(s + first, BLANKS);
  char const *second = s + first + gap;
  if (first && *second && !second[strcspn(second, BLANKS)] && r->kind != ROUTE_MX &&
      !is_word(s, first) && !is_word(second, strlen(second)))
    return take_login(r, s, first, second, strlen(second));
  for (size_t len; *s; s += len, s += strspn(s, BLANKS))
    if (!take_word(r, s, len = strcspn(s, BLANKS))) return 0;
  return check(r);
}

/* --- what a connection is kept apart by --- */

struct text {
  char *s;
  size_t len;
};

static void add(struct text *t, char const *s)
{
  size_t n = strlen(s);
  if (n >= ROUTE_POLICY_MAX - t->len) n = ROUTE_POLICY_MAX - t->len - 1;
  memcpy(t->s + t->len, s, n);
  t->s[t->len += n] = 0;
}

static uint64_t hash(char const *s)
{
  uint64_t h = 0xcbf29ce484222325u;
  for (; *s; s++) h = (h ^ (unsigned char)*s) * 0x100000001b3u;
  return h;
}

static void add_words(struct text *t, char const *words)
{
  char number[HASH_ROOM];
  size_t from = t->len;
  if (!*words) return;
  snprintf(number, sizeof number, ";tls#%016llx", (unsigned long long)hash(words));
  if (strlen(words) > TLS_SHOWN) {
    add(t, number);
    return;
  }
  add(t, ";");
  add(t, words);
  for (char *c = t->s + from; *c; c++)
    if (*c <= 32 || *c > 126) *c = ',';
}

static void add_bind(struct text *t, struct route const *r)
{
  char ip[INET6_ADDRSTRLEN];
  char const *before = ";bind=";
  for (int i = 0; i < ROUTE_BINDS; i++) {
    if (!r->bind[i].family || !inet_ntop(r->bind[i].family, r->bind[i].ip, ip, sizeof ip)) continue;
    add(t, before);
    add(t, ip);
    before = ",";
  }
}

void route_policy(struct route const *r, char out[ROUTE_POLICY_MAX])
{
  static char const *const mechanisms[AUTHCWIRE_COUNT] = { ",login", ",plain", ",cram", ",scram" };
  struct text t = { out, 0 };
  *out = 0;
  if (r->kind > ROUTE_SOCKET) add(&t, r->kind == ROUTE_REFUSE ? ";error" : r->kind == ROUTE_DEFER ? ";defer" : ";local");
  if (r->lmtp) return;
  add_words(&t, r->tls);
  if (*r->auth) {
    add(&t, *r->secret ? ";user=" : ";auth=");
    add(&t, r->auth);
    if (r->clear) add(&t, ",clear");
    for (int i = 0; i < AUTHCWIRE_COUNT; i++)
      if (r->mechanisms & 1 << i) add(&t, mechanisms[i]);
  }
  if (!r->bind_default) add_bind(&t, r);
}
