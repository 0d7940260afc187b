/* t-remote-route.c - relays of smtproutes, servers of lmtproutes, and hosts as mail addresses write them */

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "../../remote/route.h"
#include "../../remote/routewords.h"

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
  { "relay.example;587", 1, ROUTE_HOST, "relay.example", 587 },
  { "2001:db8::1;587", 1, ROUTE_IP, "2001:db8::1", 587 },
  { "192.0.2.1;587", 1, ROUTE_IP, "192.0.2.1", 587 },
  { "relay.example:25;587", 0, ROUTE_MX, 0, 0 },
  { "relay.example;", 0, ROUTE_MX, 0, 0 },
  { "2001:db8::1;", 0, ROUTE_MX, 0, 0 },
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
    { route_parse_relay, "R.example:587 verify match=B.example", "r.example:587;verify,match=B.example" },
    { route_parse_relay, "r.example auth=Work,clear", "r.example:25;auth=Work,clear" },
    { route_parse_relay, "r.example user password", "r.example:25;user=user" },
    { route_parse_relay, "r.example bind=2001:DB8::7,192.0.2.7", "r.example:25;bind=192.0.2.7,2001:db8::7" },
    { route_parse_relay, " encrypt", "" },
    { route_parse_relay, "error=x", "" },
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

/* What stands behind the relay: "tls|auth|secret|clear|bind4|bind6", and what is wrong. */
static void words(void)
{
  static struct {
    char const *value, *what, *fault;
  } const cases[] = {
    { "relay.example", "|||0||", 0 },
    { "relay.example:587 encrypt", "encrypt|||0||", 0 },
    { "relay.example:587 \t encrypt  auth=work", "encrypt|work||0||", 0 },
    { "relay.example wrapper verify match=mx,a.example ca=ours", "wrapper verify match=mx,a.example ca=ours|||0||", 0 },
    { "relay.example auth=me@a.example,clear none", "none|me@a.example||1||", 0 },
    { "relay.example bind=192.0.2.7", "|||0|192.0.2.7|", 0 },
    { "relay.example bind=192.0.2.7,2001:db8::7", "|||0|192.0.2.7|2001:db8::7", 0 },
    { "relay.example bind=2001:db8::7 bind=192.0.2.7", "|||0|192.0.2.7|2001:db8::7", 0 },
    { "[2001:db8::1]:465 wrapper", "wrapper|||0||", 0 },
    { " encrypt", "encrypt|||0||", 0 },
    { ":26 bind=192.0.2.7", "|||0|192.0.2.7|", 0 },
    { "bind=192.0.2.7 may", "may|||0|192.0.2.7|", 0 },
    { "relay.example user password", "|user|password|0||", 0 },
    { "relay.example:587 user pass=word", "|user|pass=word|0||", 0 },
    { "relay.example:587|user|pass|word", "|user|pass|word|0||", 0 },
    { "2001:db8::1;587|user|password", "|user|password|0||", 0 },
    { "relay.example user password word", 0, "neither a word of a route" },
    { "relay.example password", 0, "neither a word of a route" },
    { "relay.example|user", 0, "control/smtpcredentials" },
    { "relay.example||password", 0, "control/smtpcredentials" },
    { "relay.example|user|", 0, "control/smtpcredentials" },
    { "relay.example|us;er|password", 0, "control/smtpcredentials" },
    { " relay.example", 0, "neither a word of a route" },
    { "relay.example Auth=x", 0, "neither a word of a route" },
    { "relay.example auth=", 0, "write auth=NAME" },
    { "relay.example auth=a:b", 0, "write auth=NAME" },
    { "relay.example auth=x,clean", 0, "write auth=NAME" },
    { "relay.example auth=x auth=y", 0, "twice" },
    { "auth=x", 0, "needs a relay" },
    { " |user|password", 0, "neither a word of a route" },
    { "|user|password", 0, "needs a relay" },
    { "relay.example bind=192.0.2.7,192.0.2.8", 0, "write bind=" },
    { "relay.example bind=", 0, "write bind=" },
    { "relay.example bind=192.0.2.7,", 0, "write bind=" },
    { "relay.example bind=[192.0.2.7]", 0, "write bind=" },
    { "relay.example: encrypt", 0, "not a relay: relay.example:" },
    { "relay.example ca=ours", 0, "write none, may, encrypt or verify: ca=ours" },
    { "relay.example encrypt ca=ours", 0, "belong to verify" },
    { "relay.example auth=x,clear,CRAM-md5", "|x||1||", 0 },
    { "relay.example auth=x,plain wrapper", "wrapper verify|x||0||", 0 },
    { "relay.example auth=x,clear wrapper", "wrapper verify|x||1||", 0 },
    { "relay.example auth=x wrapper encrypt", "wrapper encrypt|x||0||", 0 },
  };
  char why[256], got[2000], ip[ROUTE_BINDS][INET6_ADDRSTRLEN];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct route r;
    int ok = route_parse_relay(&r, cases[i].value);
    memset(ip, 0, sizeof ip);
    for (int b = 0; b < ROUTE_BINDS; b++)
      if (r.bind[b].family) inet_ntop(r.bind[b].family, r.bind[b].ip, ip[b], sizeof ip[b]);
    snprintf(got, sizeof got, "%s|%s|%s|%d|%s|%s", r.tls, r.auth, r.secret, r.clear, ip[0], ip[1]);
    snprintf(why, sizeof why, "\"%s\": %s", cases[i].value, cases[i].what ? cases[i].what : cases[i].fault);
    if (cases[i].what) ok = ok && !strcmp(got, cases[i].what);
    else ok = !ok && strstr(routewords_fault(), cases[i].fault) && !strstr(routewords_fault(), "password word");
    check(ok, why);
  }
}

static void verdicts(void)
{
  static struct {
    char const *value;
    int ok;
    enum route_kind kind;
    char const *text;
  } const cases[] = {
    { "error=5.1.2 No mail to there: ask joe", 1, ROUTE_REFUSE, "5.1.2 No mail to there: ask joe" },
    { " error= gone", 1, ROUTE_REFUSE, "gone" },
    { "defer=4.3.2 back on Monday", 1, ROUTE_DEFER, "4.3.2 back on Monday" },
    { "local=", 1, ROUTE_LOCAL, "" },
    { "local=joe", 1, ROUTE_LOCAL, "joe" },
    { "error=", 0, ROUTE_MX, 0 },
    { "defer= ", 0, ROUTE_MX, 0 },
  };
  char why[128], text[DNS_NAME_MAX + 10];
  struct route r;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int ok = route_parse_relay(&r, cases[i].value) == cases[i].ok;
    snprintf(why, sizeof why, "\"%s\"", cases[i].value);
    if (ok && cases[i].ok) ok = r.kind == cases[i].kind && !strcmp(r.name, cases[i].text);
    check(ok, why);
  }
  memset(text, 'x', sizeof text);
  memcpy(text, "error=", 6);
  text[6 + DNS_NAME_MAX - 1] = 0;
  check(route_parse_relay(&r, text) && strlen(r.name) == DNS_NAME_MAX - 1, "a text of the greatest length");
  text[6 + DNS_NAME_MAX - 1] = 'x';
  text[6 + DNS_NAME_MAX] = 0;
  check(!route_parse_relay(&r, text), "and one byte more");
}

/* Each field at its limit, and the name of the longest next hop. */
static void limits(void)
{
  char value[2000] = "r.example ", name[ROUTE_RELAY_MAX];
  struct route r;
  size_t at = strlen(value);
  memset(value + at, 'x', sizeof value - at);
  memcpy(value + at, "auth=", 5);
  value[at + 5 + ROUTE_AUTH_MAX] = 0;
  check(!route_parse_relay(&r, value), "a name of credentials that is too long");
  value[at + 5 + ROUTE_AUTH_MAX - 1] = 0;
  strcat(value, ",clear bind=203.113.213.213,2001:db8:1111:2222:3333:4444:5555:6666 verify fingerprint=");
  at = strlen(value);
  memset(value + at, 'f', 259);
  for (int i = 64; i < 259; i += 65) value[at + (size_t)i] = ',';
  value[at + 259] = 0;
  check(route_parse_relay(&r, value), "the longest words");
  route_relay_name(&r, name);
  check(strlen(name) < ROUTE_RELAY_MAX && strstr(name, ";tls#") && strstr(name, ",clear;bind=203.113.213.213,2001:db8:1111:2222:3333:4444:5555:6666"),
        "are all in the name of the next hop, what is too long as a hash");
  strcat(value, " wrapper");
  char other[ROUTE_RELAY_MAX];
  check(route_parse_relay(&r, value), "one word more");
  route_relay_name(&r, other);
  check(strcmp(name, other) != 0, "makes another one");
}

/* One line of both files counts. */
static char const *key_of(struct routes const *rs, char const *host, char const *sender)
{
  static char key[64];
  size_t len;
  char const *s = route_sender_key(rs, host, sender, &len);
  if (!s) return "-";
  memcpy(key, s, len);
  key[len] = 0;
  return key;
}

static void senders(void)
{
  static char const lines[] = "joe@a.example:one\0@a.example:two\0.a.example:three\0<>:null\0b.example:four\0:rest";
  static char const for_hosts[] = "far.example:far\0.mx.example:\0:all";
  static struct {
    char const *host, *sender, *key, *name;
  } const cases[] = {
    { "x.example", "joe@a.example", "joe@a.example", "one" },
    { "x.example", "JOE@A.EXAMPLE", "JOE@A.EXAMPLE", "one" },
    { "x.example", "sue@a.example", "@a.example", "two" },
    { "x.example", "sue@sub.a.example", ".a.example", "three" },
    { "x.example", "sue@b.example", "b.example", "four" },
    { "x.example", "sue@sub.b.example", "*", "rest" },
    { "x.example", "", "<>", "null" },
    { "x.example", "#@[]", "<>", "null" },
    { "x.example", "root", "*", "rest" },
    { "far.example", "joe@a.example", "-", "far" },
    { "h.mx.example", "joe@a.example", "-", "h.mx.example" },
    { "x.example", 0, "-", "all" },
  };
  struct routes rs = ROUTES_ZERO, other = ROUTES_ZERO;
  stralloc sa = STRALLOC_ZERO;
  char why[200];
  struct route r;
  int ok = stralloc_copyb(&sa, lines, sizeof lines) && map_build(&rs.sender, &sa, ':') &&
           stralloc_copyb(&sa, for_hosts, sizeof for_hosts) && map_build(&rs.smtp, &sa, ':');
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char const *key = cases[i].sender ? key_of(&rs, cases[i].host, cases[i].sender) : "-";
    snprintf(why, sizeof why, "from <%s> to %s: by %s", cases[i].sender ? cases[i].sender : "?", cases[i].host, cases[i].key);
    check(ok && !strcmp(key, cases[i].key) && route_look(&r, &rs, cases[i].host, cases[i].sender) == ROUTE_OK &&
          !strcmp(r.name, cases[i].name), why);
  }
  check(!route_same_senders(&rs, &other) && route_same_senders(&rs, &rs) && route_same_senders(&other, &other), "the same routes of senders");
  rs.sender_first = 1;
  check(!strcmp(key_of(&rs, "far.example", "joe@a.example"), "joe@a.example") &&
        route_look(&r, &rs, "far.example", "joe@a.example") == ROUTE_OK && !strcmp(r.name, "one"), "senderroutes first");
  routes_free(&rs);
  stralloc_free(&sa);
}

int main(void)
{
  try_all("relay", relays, sizeof relays / sizeof *relays, route_parse_relay);
  try_all("LMTP server", servers, sizeof servers / sizeof *servers, route_parse_lmtp);
  try_all("host", hosts, sizeof hosts / sizeof *hosts, route_parse_host);
  check(long_names(), "a name of the greatest length, and one byte more");
  check(long_paths(), "a path of the greatest length, and one byte more");
  names();
  words();
  verdicts();
  limits();
  senders();
  return check_done();
}
