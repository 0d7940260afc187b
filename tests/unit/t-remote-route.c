/* t-remote-route.c - relays of smtproutes, servers of lmtproutes, and hosts as mail addresses write them */

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "../../remote/route.h"

static struct route_case {
  char const *in;
  int ok;
  enum route_kind kind;
  char const *where; /* name or address */
  unsigned int port;
} const relays[] = {
  { "", 1, ROUTE_MX, 0, 25 },
  { ":587", 1, ROUTE_MX, 0, 587 },
  { "relay.example", 1, ROUTE_HOST, "relay.example", 25 },
  { "relay.example:2525", 1, ROUTE_HOST, "relay.example", 2525 },
  { "relay_1.example:65535", 1, ROUTE_HOST, "relay_1.example", 65535 },
  { "192.0.2.1", 1, ROUTE_IP, "192.0.2.1", 25 },
  { "192.0.2.1:26", 1, ROUTE_IP, "192.0.2.1", 26 },
  { "[192.0.2.1]", 1, ROUTE_IP, "192.0.2.1", 25 },
  { "[192.0.2.1]:26", 1, ROUTE_IP, "192.0.2.1", 26 },
  { "[2001:db8::1]", 1, ROUTE_IP, "2001:db8::1", 25 },
  { "[2001:db8::1]:26", 1, ROUTE_IP, "2001:db8::1", 26 },
  { "[ipv6:2001:db8::1]:26", 1, ROUTE_IP, "2001:db8::1", 26 },
  { "2001:db8::1", 0, ROUTE_MX, 0, 0 },
  { "[IPv6:192.0.2.1]", 0, ROUTE_MX, 0, 0 },
  { "[192.0.2.1", 0, ROUTE_MX, 0, 0 },
  { "[192.0.2.1]26", 0, ROUTE_MX, 0, 0 },
  { "[relay.example]", 0, ROUTE_MX, 0, 0 },
  { "relay.example:", 0, ROUTE_MX, 0, 0 },
  { "relay.example:0", 0, ROUTE_MX, 0, 0 },
  { "relay.example:65536", 0, ROUTE_MX, 0, 0 },
  { "relay.example:4294967321", 0, ROUTE_MX, 0, 0 },
  { "relay.example:25x", 0, ROUTE_MX, 0, 0 },
  { "relay.example:-1", 0, ROUTE_MX, 0, 0 },
  { "relay.example user password", 0, ROUTE_MX, 0, 0 },
  { ".example", 0, ROUTE_MX, 0, 0 },
}, servers[] = {
  { "", 1, ROUTE_MX, 0, 24 },
  { ":24", 0, ROUTE_MX, 0, 0 },
  { "/run/lmtp", 1, ROUTE_SOCKET, "/run/lmtp", 0 },
  { "/run/An lmtp:24", 1, ROUTE_SOCKET, "/run/An lmtp:24", 0 },
  { "/run/lm\ttp", 0, ROUTE_MX, 0, 0 },
  { "run/lmtp", 0, ROUTE_MX, 0, 0 },
  { "store.example", 1, ROUTE_HOST, "store.example", 24 },
  { "Store.example:2424", 1, ROUTE_HOST, "Store.example", 2424 },
  { "[2001:db8::1]:26", 1, ROUTE_IP, "2001:db8::1", 26 },
  { "192.0.2.1", 1, ROUTE_IP, "192.0.2.1", 24 },
  { "store.example:0", 0, ROUTE_MX, 0, 0 },
}, hosts[] = {
  { "b.example", 1, ROUTE_MX, "b.example", 25 },
  { "b.example.", 1, ROUTE_MX, "b.example.", 25 },
  { "[192.0.2.1]", 1, ROUTE_IP, "192.0.2.1", 25 },
  { "[IPv6:2001:db8::1]", 1, ROUTE_IP, "2001:db8::1", 25 },
  { "[ipv6:::1]", 1, ROUTE_IP, "::1", 25 },
  { "192.0.2.1", 1, ROUTE_MX, "192.0.2.1", 25 },
  { "[2001:db8::1]", 0, ROUTE_MX, 0, 0 },
  { "[IPv6:192.0.2.1]", 0, ROUTE_MX, 0, 0 },
  { "[192.0.2.1]x", 0, ROUTE_MX, 0, 0 },
  { "[192.0.2.01x]", 0, ROUTE_MX, 0, 0 },
  { "[]", 0, ROUTE_MX, 0, 0 },
  { "", 0, ROUTE_MX, 0, 0 },
  { "b.example:25", 0, ROUTE_MX, 0, 0 },
  { "b example", 0, ROUTE_MX, 0, 0 },
  { "b\nexample", 0, ROUTE_MX, 0, 0 },
};

static int is_right(struct route_case const *c, int ok, struct route const *r)
{
  char text[INET6_ADDRSTRLEN] = "";
  if (ok != c->ok) return 0;
  if (!ok) return 1;
  if (r->kind != c->kind || r->port != c->port) return 0;
  if (!c->where) return 1;
  if (r->kind != ROUTE_IP) return !strcmp(r->name, c->where);
  return inet_ntop(r->ip.family, r->ip.ip, text, sizeof text) && !strcmp(text, c->where);
}

static void try_all(char const *what, struct route_case const *cases, size_t n,
                    int (*parse)(struct route *, char const *))
{
  char why[128];
  for (size_t i = 0; i < n; i++) {
    struct route r;
    int ok = parse(&r, cases[i].in);
    snprintf(why, sizeof why, "%s \"%s\"", what,
             strchr(cases[i].in, '\n') ? "with a newline" : cases[i].in);
    check(is_right(cases + i, ok, &r), why);
  }
}

static int long_names(void)
{
  char name[DNS_NAME_MAX + 1];
  struct route r;
  memset(name, 'x', sizeof name);
  name[DNS_NAME_MAX - 1] = 0;
  if (!route_parse_host(&r, name) || !route_parse_relay(&r, name)) return 0;
  name[DNS_NAME_MAX - 1] = 'x';
  name[DNS_NAME_MAX] = 0;
  return !route_parse_host(&r, name) && !route_parse_relay(&r, name);
}

/* What is one next hop has one name, and no two have the same. */
static void names(void)
{
  static struct {
    int (*parse)(struct route *, char const *);
    char const *value, *name;
  } const cases[] = {
    { route_parse_relay, "Relay.Example", "relay.example:25" },
    { route_parse_relay, "192.0.2.1:24", "[192.0.2.1]:24" },
    { route_parse_relay, "", "" },
    { route_parse_lmtp, "Store.Example", "store.example:24/lmtp" },
    { route_parse_lmtp, "192.0.2.1:24", "[192.0.2.1]:24/lmtp" },
    { route_parse_lmtp, "[IPv6:2001:DB8::1]", "[2001:db8::1]:24/lmtp" },
    { route_parse_lmtp, "/run/Dovecot/lmtp", "/run/Dovecot/lmtp" },
    { route_parse_lmtp, "", "" },
    { route_parse_host, "[192.0.2.1]", "" },
    { route_parse_host, "b.example", "" },
  };
  char why[128], name[ROUTE_RELAY_MAX];
  struct route r;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int ok = cases[i].parse(&r, cases[i].value);
    route_relay_name(&r, name);
    snprintf(why, sizeof why, "the next hop of \"%s\" is \"%s\"", cases[i].value, cases[i].name);
    check(ok && !strcmp(name, cases[i].name), why);
  }
}

/* As long as a socket's address takes, and one byte more. */
static int long_paths(void)
{
  char path[ROUTE_PATH_MAX + 1];
  struct route r;
  memset(path, '/', sizeof path);
  path[ROUTE_PATH_MAX - 1] = 0;
  if (!route_parse_lmtp(&r, path)) return 0;
  path[ROUTE_PATH_MAX - 1] = '/';
  path[ROUTE_PATH_MAX] = 0;
  return !route_parse_lmtp(&r, path);
}

int main(void)
{
  try_all("relay", relays, sizeof relays / sizeof *relays, route_parse_relay);
  try_all("LMTP server", servers, sizeof servers / sizeof *servers, route_parse_lmtp);
  try_all("host", hosts, sizeof hosts / sizeof *hosts, route_parse_host);
  check(long_names(), "a name of the greatest length, and one byte more");
  check(long_paths(), "a path of the greatest length, and one byte more");
  names();
  return check_done();
}
