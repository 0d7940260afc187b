/* route.c - where mail for a host goes; see route.h */

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <skalibs/bytestr.h>
#include <skalibs/stralloc.h>
#include <skalibs/types.h>

#include "control.h"
#include "limits.h"
#include "map.h"
#include "route.h"

#define PORT_MAX 65535

static char why[256];

char const *route_why(void)
{
  return why;
}

/* An address of either family in s[0..len), without brackets. */
static int scan_ip(struct dns_ip *ip, char const *s, size_t len)
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
  if (!scan_ip(&r->ip, ip, (size_t)(end - ip))) return 0;
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
  r->fixed = r->lmtp = 0;
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
  r->fixed = 1;
  r->lmtp = lmtp;
  r->port = lmtp ? LMTP_PORT : SMTP_PORT;
  size_t len = scan_literal(r, value, 1);
  if (!len) {
    len = strcspn(value, ":");
    r->kind = scan_ip(&r->ip, value, len) ? ROUTE_IP : ROUTE_HOST;
    if (!len) r->kind = ROUTE_MX;
    else if (r->kind == ROUTE_HOST && !set_name(r, value, len)) return 0;
  }
  if (!value[len]) return 1;
  return value[len] == ':' && scan_port(r, value + len + 1);
}

int route_parse_relay(struct route *r, char const *value)
{
  return parse_server(r, value, 0);
}

static int set_path(struct route *r, char const *path)
{
  size_t len = strlen(path);
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)path[i] < 32 || path[i] == 127) return 0;
  if (len >= ROUTE_PATH_MAX) return 0;
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
  if (!r->fixed || r->kind == ROUTE_MX) return;
  if (r->kind == ROUTE_SOCKET) {
    memcpy(out, r->name, strlen(r->name) + 1);
    return;
  }
  if (r->kind == ROUTE_HOST) snprintf(out, ROUTE_RELAY_MAX, "%s:%u%s", r->name, r->port, protocol);
  else if (inet_ntop(r->ip.family, r->ip.ip, ip, sizeof ip))
    snprintf(out, ROUTE_RELAY_MAX, "[%s]:%u%s", ip, r->port, protocol);
  case_lowerb(out, strlen(out));
}

/* The value of a file for <host>, NULL when there is none. */
static char const *find_value(struct map const *m, char const *host)
{
  size_t len = strlen(host);
  char const *value = len ? map_find_domain(m, host, len) : 0;
  return value ? value : map_find(m, "", 0);
}

/* An empty relay means MX again: <host> itself must then be one that can be looked up. */
static enum route_result take_relay(struct route *r, char const *value, char const *host)
{
  struct route plain;
  if (!route_parse_relay(r, value)) {
    snprintf(why, sizeof why, "control/smtproutes: not a relay: %s", value);
    return ROUTE_TEMPORARY;
  }
  if (r->kind != ROUTE_MX) return ROUTE_OK;
  if (!route_parse_host(&plain, host)) return ROUTE_BADHOST;
  plain.port = r->port;
  *r = plain;
  return ROUTE_OK;
}

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

void routes_free(struct routes *rs)
{
  map_free(&rs->lmtp);
  map_free(&rs->smtp);
}

int route_load(struct routes *rs)
{
  struct routes fresh = ROUTES_ZERO;
  if (!load(&fresh.lmtp, "lmtproutes") || !load(&fresh.smtp, "smtproutes")) {
    routes_free(&fresh);
    return 0;
  }
  routes_free(rs);
  *rs = fresh;
  return 1;
}

/* An empty server means smtproutes after all. */
enum route_result route_look(struct route *r, struct routes const *rs, char const *host)
{
  char const *value = find_value(&rs->lmtp, host);
  if (value && !route_parse_lmtp(r, value)) {
    snprintf(why, sizeof why, "control/lmtproutes: not an LMTP server: %s", value);
    return ROUTE_TEMPORARY;
  }
  if (value && r->kind != ROUTE_MX) return ROUTE_OK;
  value = find_value(&rs->smtp, host);
  if (value) return take_relay(r, value, host);
  return route_parse_host(r, host) ? ROUTE_OK : ROUTE_BADHOST;
}

enum route_result route_find(struct route *r, char const *host)
{
  struct routes rs = ROUTES_ZERO;
  enum route_result result = route_load(&rs) ? route_look(r, &rs, host) : ROUTE_TEMPORARY;
  routes_free(&rs);
  return result;
}
