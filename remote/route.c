/* route.c - where mail for a host goes; see route.h */

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <skalibs/bytestr.h>
#include <skalibs/stralloc.h>
#include <skalibs/types.h>

#include "address.h"
#include "control.h"
#include "limits.h"
#include "map.h"
#include "route.h"
#include "routewords.h"
#include "word.h"

#define PORT_MAX   65535
#define SERVER_MAX (DNS_NAME_MAX + 16) /* bytes of a host and its port, with NUL */

static char why[512];

char const *route_why(void)
{
  return why;
}

/* An address of either family in s[0..len), without brackets. */
int route_scan_ip(struct dns_ip *ip, char const *s, size_t len)
{
  char text[INET6_ADDRSTRLEN];
  if (len >= sizeof text) return 0;
  memcpy(text, s, len);
  text[len] = 0;
  ip->family = AF_INET;
  if (inet_pton(AF_INET, text, ip->ip) == 1) return 1;
  ip->family = AF_INET6;
  return inet_pton(AF_INET6, text, ip->ip) == 1;
}

/* "[1.2.3.4]", "[IPv6:...]"; with <bare>, also "[v6]". The length, or 0. */
static size_t scan_literal(struct route *r, char const *s, int bare)
{
  char const *end = *s == '[' ? strchr(s, ']') : 0;
  if (!end) return 0;
  char const *ip = s + 1;
  int tagged = !strncasecmp(ip, "IPv6:", 5);
  if (tagged) ip += 5;
  if (!route_scan_ip(&r->ip, ip, (size_t)(end - ip))) return 0;
  if (r->ip.family == AF_INET ? tagged : !tagged && !bare) return 0;
  r->kind = ROUTE_IP;
  return (size_t)(end - s) + 1;
}

static int set_name(struct route *r, char const *s, size_t len)
{
  static char const plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  if (!len || len >= sizeof r->name || *s == '.' || strspn(s, plain) < len) return 0;
  memcpy(r->name, s, len);
  r->name[len] = 0;
  return 1;
}

int route_parse_host(struct route *r, char const *host)
{
  memset(r, 0, sizeof *r);
  r->port = SMTP_PORT;
  r->kind = ROUTE_MX;
  size_t literal = scan_literal(r, host, 0);
  if (literal) return !host[literal];
  return set_name(r, host, strlen(host));
}

static int scan_port(struct route *r, char const *s)
{
  unsigned int port;
  if (!uint0_scan(s, &port) || !port || port > PORT_MAX) return 0;
  r->port = port;
  return 1;
}

/* A relay or an LMTP server, at a port that may stand behind it. */
static int parse_server(struct route *r, char const *value, int lmtp)
{
  memset(r, 0, sizeof *r);
  r->fixed = 1;
  r->lmtp = lmtp;
  r->port = lmtp ? LMTP_PORT : SMTP_PORT;
  size_t len = scan_literal(r, value, 1);
  if (!len) {
    len = strcspn(value, ":");
    r->kind = route_scan_ip(&r->ip, value, len) ? ROUTE_IP : ROUTE_HOST;
    if (!len) r->kind = ROUTE_MX;
    else if (r->kind == ROUTE_HOST && !set_name(r, value, len)) return 0;
  }
  if (!value[len]) return 1;
  return value[len] == ':' && scan_port(r, value + len + 1);
}

/* "address;port", where the address may have colons: 1, or 0 when it is not that. */
static int parse_semicolon(struct route *r, char const *value)
{
  char const *port = strchr(value, ';');
  struct dns_ip ip;
  char text[SERVER_MAX];
  size_t len = port ? (size_t)(port - value) : 0;
  if (!port) return 0;
  if (route_scan_ip(&ip, value, len) && ip.family == AF_INET6) {
    if (!parse_server(r, "", 0)) return 0;
    r->kind = ROUTE_IP;
    r->ip = ip;
  } else {
    memcpy(text, value, len);
    text[len] = 0;
    if (strchr(text, ':') || !parse_server(r, text, 0)) return 0;
  }
  return scan_port(r, port + 1);
}

int route_parse_relay(struct route *r, char const *value)
{
  char server[SERVER_MAX];
  size_t len = routewords_server(value);
  memset(r, 0, sizeof *r);
  if (routewords_verdict(r, value)) return *routewords_fault() == 0;
  if (len >= sizeof server) return routewords_bad("the name of the relay is too long", "", 0);
  memcpy(server, value, len);
  server[len] = 0;
  if (!parse_semicolon(r, server) && !parse_server(r, server, 0))
    return routewords_bad("not a relay", server, len);
  return routewords_take(r, value + len);
}

static int set_path(struct route *r, char const *path)
{
  size_t len = strlen(path);
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)path[i] < 32 || path[i] == 127) return 0;
  if (len >= ROUTE_PATH_MAX) return 0;
  memset(r, 0, sizeof *r);
  r->kind = ROUTE_SOCKET;
  r->fixed = r->lmtp = 1;
  r->port = 0;
  memcpy(r->name, path, len + 1);
  return 1;
}

int route_parse_lmtp(struct route *r, char const *value)
{
  if (*value == '/') return set_path(r, value);
  return parse_server(r, value, 1) && (r->kind != ROUTE_MX || !*value);
}

void route_relay_name(struct route const *r, char out[ROUTE_RELAY_MAX])
{
  char ip[INET6_ADDRSTRLEN];
  char const *protocol = r->lmtp ? "/lmtp" : "";
  *out = 0;
  if (!r->fixed || r->kind == ROUTE_MX || r->kind > ROUTE_SOCKET) return;
  if (r->kind == ROUTE_SOCKET) {
    memcpy(out, r->name, strlen(r->name) + 1);
    return;
  }
  if (r->kind == ROUTE_HOST) snprintf(out, ROUTE_RELAY_MAX, "%s:%u%s", r->name, r->port, protocol);
  else if (inet_ntop(r->ip.family, r->ip.ip, ip, sizeof ip))
    snprintf(out, ROUTE_RELAY_MAX, "[%s]:%u%s", ip, r->port, protocol);
  case_lowerb(out, strlen(out));
  route_policy(r, out + strlen(out));
}

/* --- which line counts --- */

/* The value for <host> in a line for it, or for all: NULL when there is none. */
static char const *find_value(struct map const *m, char const *host, int *its_own)
{
  size_t len = strlen(host);
  char const *value = len ? map_find_domain(m, host, len) : 0;
  *its_own = value != 0;
  return value ? value : map_find(m, "", 0);
}

/* The value of senderroutes for <sender>, and the key of that line. A report that must not be answered
 * has the null sender too. */
static char const *find_sender(struct map const *m, char const *sender, char const **key, size_t *len)
{
  size_t const all = strlen(sender);
  size_t const at = address_at(sender, all);
  int const null = !all || !strcmp(sender, "#@[]");
  char const *value = map_find(m, *key = null ? "<>" : sender, *len = null ? 2 : all);
  if (!null && at < all) {
    if (!value) value = map_find(m, *key = sender + at, *len = all - at);
    for (size_t i = at + 1; !value && i < all; i++)
      if (i == at + 1 || sender[i] == '.') value = map_find(m, *key = sender + i, *len = all - i);
  }
  if (!value) {
    value = map_find(m, "", 0);
    *key = "*";
    *len = 1;
  }
  return value;
}

struct line { /* of a file */
  char const *file, *value; /* value NULL: there is none */
  char const *key;          /* of senderroutes; else NULL */
  size_t keylen;
};

/* Of senderroutes and smtproutes, the line that counts. */
static struct line find_line(struct routes const *rs, char const *host, char const *sender)
{
  int its_own;
  struct line l = { "smtproutes", find_value(&rs->smtp, host, &its_own), 0, 0 };
  if (!sender || !rs->sender.count || (its_own && !rs->sender_first)) return l;
  struct line s = { "senderroutes", 0, 0, 0 };
  s.value = find_sender(&rs->sender, sender, &s.key, &s.keylen);
  return s.value ? s : l;
}

/* That of lmtproutes, unless it says nothing. */
static char const *find_lmtp(struct routes const *rs, char const *host)
{
  int its_own;
  char const *value = find_value(&rs->lmtp, host, &its_own);
  return value && *value ? value : 0;
}

char const *route_sender_key(struct routes const *rs, char const *host, char const *sender, size_t *len)
{
  if (!rs->sender.count || find_lmtp(rs, host)) return 0;
  struct line l = find_line(rs, host, sender);
  *len = l.keylen;
  return l.key;
}

static int same_text(struct map const *a, struct map const *b)
{
  size_t len = a->text.len;
  return len == b->text.len && (!len || !memcmp(a->text.s, b->text.s, len));
}

int route_same_senders(struct routes const *a, struct routes const *b)
{
  if (!a->sender.count && !b->sender.count) return 1;
  return a->sender_first == b->sender_first && same_text(&a->sender, &b->sender) &&
         same_text(&a->smtp, &b->smtp) && same_text(&a->lmtp, &b->lmtp);
}

/* --- the files --- */

static int load(struct map *m, char const *name)
{
  stralloc list = STRALLOC_ZERO;
  int found = control_list(name, &list);
  if (found == -1) snprintf(why, sizeof why, "%s", control_why());
  if (found != -1 && !map_build(m, &list, ':')) {
    snprintf(why, sizeof why, "control/%s: out of memory", name);
    found = -1;
  }
  stralloc_free(&list);
  return found != -1;
}

static int has_local(struct map const *m)
{
  for (size_t i = 0; i < m->count; i++)
    if (!strncmp(m->entries[i].value, ROUTEWORDS_LOCAL, sizeof ROUTEWORDS_LOCAL - 1)) return 1;
  return 0;
}

static int load_order(int *sender_first)
{
  stralloc line = STRALLOC_ZERO;
  int found = control_line("routeorder", &line);
  int ok = found != -1;
  if (found == 1 && !(*sender_first = word_is(line.s, line.len, "sender")) &&
      !word_is(line.s, line.len, "recipient"))
    ok = control_bad("routeorder", "write sender or recipient") != -1;
  if (!ok) snprintf(why, sizeof why, "%s", control_why());
  stralloc_free(&line);
  return ok;
}

/* "0.0.0.0" is what patches of qmail take for none. */
static int load_bind(struct dns_ip bind[ROUTE_BINDS])
{
  stralloc list = STRALLOC_ZERO;
  int ok = control_list("outgoingip", &list) != -1;
  for (size_t i = 0; ok && i < list.len; i += strlen(list.s + i) + 1)
    if (strcmp(list.s + i, "0.0.0.0") && !routewords_bind(bind, list.s + i, strlen(list.s + i)))
      ok = control_bad_entry("outgoingip", "write an address a line, at most one of each family") != -1;
  if (!ok) snprintf(why, sizeof why, "%s", control_why());
  stralloc_free(&list);
  return ok;
}

void routes_free(struct routes *rs)
{
  map_free(&rs->lmtp);
  map_free(&rs->sender);
  map_free(&rs->smtp);
}

int route_load(struct routes *rs)
{
  struct routes fresh = ROUTES_ZERO;
  if (!load(&fresh.lmtp, "lmtproutes") || !load(&fresh.sender, "senderroutes") ||
      !load(&fresh.smtp, "smtproutes") || !load_order(&fresh.sender_first) ||
      !load_bind(fresh.bind)) {
    routes_free(&fresh);
    return 0;
  }
  fresh.some_local = has_local(&fresh.sender) || has_local(&fresh.smtp);
  routes_free(rs);
  *rs = fresh;
  return 1;
}

/* --- the route --- */

static enum route_result take_lmtp(struct route *r, char const *value)
{
  if (route_parse_lmtp(r, value)) {
    r->file = "lmtproutes";
    return ROUTE_OK;
  }
  snprintf(why, sizeof why, "control/lmtproutes: not an LMTP server: %s", value);
  return ROUTE_TEMPORARY;
}

/* Without a relay <host> itself must be one that can be looked up. */
static int take_host(struct route *r, char const *host)
{
  struct route plain;
  if (!route_parse_host(&plain, host)) return 0;
  r->kind = plain.kind;
  r->fixed = 0;
  r->ip = plain.ip;
  memcpy(r->name, plain.name, sizeof r->name);
  return 1;
}

static enum route_result take_line(struct route *r, struct line const *l, char const *host)
{
  if (!l->value) {
    if (!route_parse_host(r, host)) return ROUTE_BADHOST;
  } else if (!route_parse_relay(r, l->value)) {
    snprintf(why, sizeof why, "control/%s: %s", l->file, routewords_fault());
    return ROUTE_TEMPORARY;
  } else if (r->kind == ROUTE_MX && !take_host(r, host)) return ROUTE_BADHOST;
  if (l->value) r->file = l->file;
  return ROUTE_OK;
}

enum route_result route_look(struct route *r, struct routes const *rs, char const *host,
                             char const *sender)
{
  char const *lmtp = find_lmtp(rs, host);
  if (lmtp) return take_lmtp(r, lmtp);
  struct line l = find_line(rs, host, sender);
  enum route_result result = take_line(r, &l, host);
  if (result != ROUTE_OK || r->bind[0].family || r->bind[1].family) return result;
  memcpy(r->bind, rs->bind, sizeof r->bind);
  r->bind_default = 1;
  return result;
}

enum route_result route_find(struct route *r, char const *host, char const *sender)
{
  struct routes rs = ROUTES_ZERO;
  enum route_result result = route_load(&rs) ? route_look(r, &rs, host, sender) : ROUTE_TEMPORARY;
  routes_free(&rs);
  return result;
}
