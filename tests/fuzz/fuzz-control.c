/* fuzz-control.c - control files: lib/control.c, map.c, smtpd/settings.c, netlist.c, rewrite.c, remote/route.c
 *
 * Input: a byte that says which, then (unpacked) parts that end with a NUL
 * each; in a control file that is to hold a NUL, it is the byte 1. A part that
 * begins with the byte 3 is a file that is not there.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <skalibs/stralloc.h>

#include "../../remote/route.h"
#include "rewrite.h"
#include "../../smtpd/settings.h"
#include "control.h"
#include "fuzz.h"
#include "map.h"

#define PORT_MAX 65535

static int home;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  home = fuzz_home();
  fuzz_file(home, "control/me", "me.example\n", 11);
  return 0;
}

/* --- files --- */

struct file {
  int there;
  char *s;
  size_t len;
};

static struct file take_file(struct fuzz *f)
{
  struct fuzz part = fuzz_until(f, 0);
  struct file file = { .there = !part.len || *part.s != 3 };
  file.s = fuzz_copy(part.s, part.len);
  file.len = part.len;
  for (size_t i = 0; i < file.len; i++)
    if (file.s[i] == 1) file.s[i] = 0;
  return file;
}

static void put_file(struct file const *file, char const *path)
{
  if (file->there)
    fuzz_file(home, path, file->s, file->len);
  else
    unlinkat(home, path, 0);
}

static struct file take_and_put(struct fuzz *f, char const *path)
{
  struct file file = take_file(f);
  put_file(&file, path);
  return file;
}

/* The next line of a file without blanks at its end; 0 at the end of the file. */
static int take_line(struct fuzz *f, struct fuzz *line)
{
  if (!f->len) return 0;
  *line = fuzz_until(f, '\n');
  while (line->len && memchr(" \t\r", line->s[line->len - 1], 3)) line->len--;
  return 1;
}

static int has_nul(struct fuzz const *line)
{
  return line->len && memchr(line->s, 0, line->len);
}

/* The next entry of a list setting. */
static int take_entry(struct fuzz *f, struct fuzz *line)
{
  while (take_line(f, line))
    if (line->len && *line->s != '#') return 1;
  return 0;
}

static void test_line(struct file const *file)
{
  struct fuzz f = { file->s, file->len }, line = { 0, 0 };
  stralloc sa = STRALLOC_ZERO;
  unsigned long n = 1234567, max = 1000000;
  take_line(&f, &line);
  int r = control_line("f", &sa);
  REQUIRE(r == (!file->there ? 0 : has_nul(&line) ? -1 : 1));
  if (r == 1)
    REQUIRE(sa.len == line.len && !memcmp(sa.s, line.s ? line.s : "", line.len) && !sa.s[sa.len]);
  REQUIRE(r != -1 || (errno == EINVAL && strstr(control_why(), "control/f: line 1: ")));
  int number = control_number("f", &n, max);
  REQUIRE((number == 0) == (r == 0) && (r != -1 || number == -1));
  uint64_t value = 0;
  int digits = r == 1 && line.len;
  for (size_t i = 0; r == 1 && i < line.len; i++) {
    digits &= line.s[i] >= '0' && line.s[i] <= '9';
    value = value > max ? value : value * 10 + (uint64_t)(line.s[i] - '0');
  }
  if (r == 1) REQUIRE(number == (digits && value <= max ? 1 : -1));
  REQUIRE(n == (number == 1 ? value : 1234567));
  REQUIRE(control_exists("f") == file->there);
  REQUIRE(control_line_or_me("f", &sa) == (r == -1 ? -1 : 1));
  if (!r) REQUIRE(sa.len == 10 && !memcmp(sa.s, "me.example", 11));
  stralloc_free(&sa);
}

static void test_list(struct file const *file)
{
  struct fuzz f = { file->s, file->len }, line;
  stralloc sa = STRALLOC_ZERO;
  size_t pos = 0;
  int r = control_list("f", &sa), bad = 0;
  while (file->there && take_entry(&f, &line) && !bad) {
    bad = has_nul(&line);
    if (r != 1 || bad) continue;
    REQUIRE(sa.len - pos > line.len && !memcmp(sa.s + pos, line.s, line.len) &&
            !sa.s[pos + line.len]);
    pos += line.len + 1;
  }
  REQUIRE(r == (!file->there ? 0 : bad ? -1 : 1));
  REQUIRE(pos == sa.len);
  stralloc_free(&sa);
}

/* --- tables --- */

/* The value of the first entry with the key, as a part of <list>; 0 when there is none. */
static int look_up(struct file const *list, char separator, char const *key, size_t len,
                   struct fuzz *value)
{
  struct fuzz f = { list->s, list->len }, e;
  while (list->there && take_entry(&f, &e)) {
    struct fuzz rest = e;
    if (separator && !memchr(e.s, separator, e.len)) continue;
    struct fuzz k = separator ? fuzz_until(&rest, separator) : e;
    if (!separator) rest = (struct fuzz){ "", 0 };
    if (k.len != len || (len && strncasecmp(k.s, key, len))) continue;
    *value = rest;
    return 1;
  }
  return 0;
}

static int look_up_domain(struct file const *list, char separator, char const *domain, size_t len,
                          struct fuzz *value)
{
  if (look_up(list, separator, domain, len, value)) return 1;
  for (size_t i = 1; i < len; i++)
    if (domain[i] == '.' && look_up(list, separator, domain + i, len - i, value)) return 1;
  return 0;
}

static int is_value(char const *value, int found, struct fuzz const *expected)
{
  if (!value || !found) return !value == !found;
  return strlen(value) == expected->len &&
         !memcmp(value, expected->s ? expected->s : "", expected->len);
}

static void test_map(struct file const *file, char separator, struct fuzz key)
{
  stralloc list = STRALLOC_ZERO;
  struct map m = MAP_ZERO;
  struct fuzz value = { 0, 0 };
  if (control_list("f", &list) == 1) {
    REQUIRE(map_build(&m, &list, separator));
    int found = look_up(file, separator, key.s, key.len, &value);
    REQUIRE(is_value(map_find(&m, key.s, key.len), found, &value));
    found = look_up_domain(file, separator, key.s, key.len, &value);
    REQUIRE(is_value(map_find_domain(&m, key.s, key.len), found, &value));
  }
  map_free(&m);
  stralloc_free(&list);
}

/* --- send's routes --- */

struct sending {
  struct file locals, vdoms, percenthack, envnoathost;
};

static int has_bad_line(struct file const *file, int list)
{
  struct fuzz f = { file->s, file->len }, line = { 0, 0 };
  if (!file->there) return 0;
  if (!list) return take_line(&f, &line) && has_nul(&line);
  while (take_entry(&f, &line))
    if (has_nul(&line)) return 1;
  return 0;
}

static size_t at_of(stralloc const *a)
{
  char const *at = a->len ? memrchr(a->s, '@', a->len) : 0;
  return at ? (size_t)(at - a->s) : a->len;
}

static void append(stralloc *a, char const *s, size_t len)
{
  if (len && !stralloc_catb(a, s, len)) abort();
}

/* Rewrite <a> as route.h says. The channel. */
static int rewrite(struct sending const *w, stralloc *a)
{
  static struct file const me = { 1, (char *)"me.example", 10 };
  struct file const *host = w->envnoathost.there ? &w->envnoathost : &me;
  struct file const *locals = w->locals.there ? &w->locals : &me;
  struct fuzz f = { host->s, host->len }, line = { 0, 0 }, value = { 0, 0 };
  if (at_of(a) == a->len) {
    take_line(&f, &line);
    append(a, "@", 1);
    append(a, line.s, line.len);
  }
  size_t at = at_of(a);
  while (at < a->len && look_up(&w->percenthack, 0, a->s + at + 1, a->len - at - 1, &value)) {
    char *percent = memrchr(a->s, '%', at);
    if (!percent) break;
    a->len = at;
    *percent = '@';
    at = (size_t)(percent - a->s);
  }
  at = at_of(a);
  char const *domain = a->s + at + 1;
  size_t len = a->len - at - 1;
  if (look_up(locals, 0, domain, len, &value)) return CHANNEL_LOCAL;
  if (!look_up(&w->vdoms, ':', a->s, a->len, &value) &&
      !look_up_domain(&w->vdoms, ':', domain, len, &value) &&
      !look_up(&w->vdoms, ':', "", 0, &value))
    return CHANNEL_REMOTE;
  if (!value.len) return CHANNEL_REMOTE;
  stralloc full = STRALLOC_ZERO;
  append(&full, value.s, value.len);
  append(&full, "-", 1);
  append(&full, a->s, a->len);
  a->len = 0;
  append(a, full.s, full.len);
  stralloc_free(&full);
  return CHANNEL_LOCAL;
}

static void test_send_route(struct fuzz f)
{
  struct rewrite r = REWRITE_ZERO;
  struct sending w = { take_and_put(&f, "control/locals"),
                       take_and_put(&f, "control/virtualdomains"),
                       take_and_put(&f, "control/percenthack"),
                       take_and_put(&f, "control/envnoathost") };
  int bad = has_bad_line(&w.locals, 1) || has_bad_line(&w.vdoms, 1) ||
            has_bad_line(&w.percenthack, 1) || has_bad_line(&w.envnoathost, 0);
  REQUIRE(rewrite_load(&r) == !bad);
  struct fuzz addr = fuzz_until(&f, 0);
  if (!bad) {
    stralloc expected = STRALLOC_ZERO, got = STRALLOC_ZERO;
    append(&expected, addr.s, addr.len);
    append(&got, "x", 1);
    int channel = rewrite(&w, &expected);
    REQUIRE(rewrite_address(&r, addr.s, addr.len, &got) == channel);
    REQUIRE(got.len == expected.len + 1 && !memcmp(got.s + 1, expected.s, expected.len));
    stralloc_free(&expected);
    stralloc_free(&got);
  }
  map_free(&r.locals);
  map_free(&r.vdoms);
  map_free(&r.percenthack);
  stralloc_free(&r.envnoathost);
  free(w.locals.s), free(w.vdoms.s), free(w.percenthack.s), free(w.envnoathost.s);
}

/* An expanded sender can be taken apart again: prefix, recipient with '=', host. */
static void test_verp(struct fuzz f)
{
  struct fuzz sender = fuzz_until(&f, 0), rcpt = fuzz_until(&f, 0);
  stralloc out = STRALLOC_ZERO;
  REQUIRE(verp_sender(&out, sender.s, sender.len, rcpt.s, rcpt.len) && out.len &&
          !out.s[out.len - 1]);
  char const *rat = rcpt.len ? memrchr(rcpt.s, '@', rcpt.len) : 0;
  if (!verp_is(sender.s, sender.len) || !rat) {
    REQUIRE(out.len - 1 == sender.len && (!sender.len || !memcmp(out.s, sender.s, sender.len)));
  } else {
    size_t len = sender.len - 4;
    char const *at = memrchr(sender.s, '@', len);
    size_t prefix = (size_t)(at - sender.s), box = (size_t)(rat - rcpt.s);
    REQUIRE(out.len - 1 == len + rcpt.len && !memcmp(out.s, sender.s, prefix));
    REQUIRE(!memcmp(out.s + prefix, rcpt.s, box) && out.s[prefix + box] == '=');
    REQUIRE(!memcmp(out.s + prefix + box + 1, rat + 1, rcpt.len - box - 1));
    REQUIRE(!memcmp(out.s + prefix + rcpt.len, at, len - prefix));
  }
  stralloc_free(&out);
}

/* --- remote's routes --- */

static int is_name(char const *s)
{
  size_t len = strlen(s);
  for (size_t i = 0; i < len; i++)
    if (!strchr("-_.", s[i]) && !(s[i] >= '0' && s[i] <= '9') &&
        !((s[i] | 32) >= 'a' && (s[i] | 32) <= 'z'))
      return 0;
  return len && len < DNS_NAME_MAX && *s != '.';
}

static void check_route(struct route const *r)
{
  char name[ROUTE_RELAY_MAX], policy[ROUTE_POLICY_MAX];
  route_policy(r, policy);
  for (char *c = policy; *c; c++) REQUIRE(*c > 32 && *c < 127);
  REQUIRE(strlen(policy) < sizeof policy && !*policy == (!*r->tls && !*r->auth && r->kind <= ROUTE_SOCKET &&
                                                         (r->bind_default || (!r->bind[0].family && !r->bind[1].family))));
  if (r->kind > ROUTE_SOCKET) return;
  REQUIRE(!*r->auth || (r->fixed && r->kind != ROUTE_MX && !r->lmtp));
  REQUIRE(!*r->secret || *r->auth);
  REQUIRE(!r->bind[0].family || r->bind[0].family == AF_INET);
  REQUIRE(!r->bind[1].family || r->bind[1].family == AF_INET6);
  REQUIRE(r->kind == ROUTE_SOCKET ? !r->port : r->port && r->port <= PORT_MAX);
  if (r->kind == ROUTE_SOCKET) REQUIRE(r->lmtp && *r->name == '/' && strlen(r->name) < ROUTE_PATH_MAX);
  if (r->lmtp) REQUIRE(r->fixed);
  route_relay_name(r, name);
  REQUIRE(strlen(name) < sizeof name && !*name == (!r->fixed || r->kind == ROUTE_MX));
  if (r->kind == ROUTE_HOST) REQUIRE(is_name(r->name));
  if (r->kind == ROUTE_IP) REQUIRE(r->ip.family == AF_INET || r->ip.family == AF_INET6);
}

static int find_value(struct file const *file, struct fuzz const *host, struct fuzz *value)
{
  return (host->len && look_up_domain(file, ':', host->s, host->len, value)) ||
         look_up(file, ':', "", 0, value);
}

static void test_remote_route(struct fuzz f)
{
  static struct route r, plain;
  struct file routes = take_and_put(&f, "control/smtproutes");
  struct fuzz part = fuzz_until(&f, 0), value = { "", 0 };
  struct file servers = take_and_put(&f, "control/lmtproutes");
  struct file senders = take_and_put(&f, "control/senderroutes");
  struct fuzz from = fuzz_until(&f, 0);
  char *host = malloc(part.len + 1);
  memcpy(host, part.s, part.len);
  host[part.len] = 0;
  int good = route_parse_host(&plain, host);
  if (good)
    REQUIRE(!plain.fixed && plain.port == 25 &&
            (plain.kind == ROUTE_MX ? !strcmp(plain.name, host) && is_name(host) : host[0] == '['));
  else
    REQUIRE(!is_name(host));
  char *sender = malloc(from.len + 1);
  memcpy(sender, from.s, from.len);
  sender[from.len] = 0;
  enum route_result result = route_find(&r, host, sender);
  if (result == ROUTE_OK) check_route(&r);
  free(sender);
  fuzz_file(home, "control/senderroutes", "", 0);
  result = route_find(&r, host, sender = 0);
  if (has_bad_line(&routes, 1) || has_bad_line(&servers, 1))
    REQUIRE(result == ROUTE_TEMPORARY);
  else if (find_value(&servers, &part, &value) && value.len)
    REQUIRE(result == ROUTE_TEMPORARY || (result == ROUTE_OK && r.lmtp));
  else {
    int found = find_value(&routes, &part, &value);
    if (result == ROUTE_OK) REQUIRE(!r.lmtp);
    if (!found)
      REQUIRE(result == (good ? ROUTE_OK : ROUTE_BADHOST));
    else if (!value.len)
      REQUIRE(result == (good ? ROUTE_OK : ROUTE_BADHOST));
    else if (result == ROUTE_OK)
      REQUIRE(r.fixed ? r.kind != ROUTE_MX : good);
  }
  if (result == ROUTE_OK) check_route(&r);
  if (result == ROUTE_TEMPORARY) REQUIRE(*route_why());
  if (route_parse_relay(&plain, host)) check_route(&plain);
  if (route_parse_lmtp(&plain, host)) check_route(&plain);
  free(host);
  free(routes.s);
  free(servers.s);
  free(senders.s);
}

/* --- smtpd's settings --- */

static void test_settings(struct fuzz f)
{
  static char const *const names[] = { "smtpgreeting", "localiphost",      "rcpthosts",
                                       "badmailfrom",  "normalizeclients", "databytes",
                                       "maxrcpt",      "maxline",          "maxerrors",
                                       "timeoutsmtpd", "timeoutsession",   "concurrencysmtpd" };
  static struct settings s;
  char path[64] = "control/";
  strcat(path, names[fuzz_below(&f, sizeof names / sizeof *names)]);
  struct file file = take_and_put(&f, path);
  struct settings before = s;
  int r = settings_load(&s, 0);
  unlinkat(home, path, 0);
  free(file.s);
  if (!r) {
    before.stamp = s.stamp;
    REQUIRE(!memcmp(&before, &s, sizeof s) && strstr(settings_why(), path));
    for (char const *c = settings_why(); *c; c++) REQUIRE(*c != '\n');
    return;
  }
  REQUIRE(s.me.len && s.greeting.len && s.localiphost.len && !s.greeting.s[s.greeting.len]);
  for (size_t i = 0; i < s.greeting.len; i++)
    REQUIRE((unsigned char)s.greeting.s[i] >= 32 && s.greeting.s[i] != 127);
  REQUIRE(s.maxline >= SETTINGS_LINE_MIN && s.maxline <= SETTINGS_LINE_MAX && s.maxrcpt);
}

/* --- networks --- */

/* Does the entry hold the address <ip>? -1: it is none. */
static int net_holds(char const *entry, size_t len, int family, unsigned char const *ip)
{
  char text[64], *slash;
  unsigned char addr[16];
  unsigned long bits;
  if (!len || len > 57) return -1;
  memcpy(text, entry, len);
  text[len] = 0;
  int dots = 0;
  for (char *c = text; *c; c++) dots += *c == '.';
  int six = strchr(text, ':') != 0;
  bits = six ? 128 : 32;
  if (text[len - 1] == '.') {
    if (dots > 3) return -1;
    bits = 8 * (unsigned long)dots;
    for (; dots < 4; dots++) strcat(text, dots == 3 ? "0" : "0.");
  } else if ((slash = strchr(text, '/'))) {
    char *end;
    if (slash[1] < '0' || slash[1] > '9') return -1;
    unsigned long n = strtoul(slash + 1, &end, 10);
    if (*end || n > bits) return -1;
    bits = n;
    *slash = 0;
    six = strchr(text, ':') != 0;
    if (bits > (six ? 128 : 32)) return -1;
  }
  if (inet_pton(six ? AF_INET6 : AF_INET, text, addr) != 1) return -1;
  if (family != (six ? AF_INET6 : AF_INET)) return 0;
  for (unsigned long i = 0; i < bits; i++)
    if ((addr[i / 8] ^ ip[i / 8]) >> (7 - i % 8) & 1) return 0;
  return 1;
}

static void test_networks(struct file const *file, struct fuzz part)
{
  stralloc list = STRALLOC_ZERO;
  struct netlist l = NETLIST_ZERO;
  char const *bad = 0;
  char ip[64] = "";
  unsigned char addr[16];
  memcpy(ip, part.s, part.len < sizeof ip - 1 ? part.len : sizeof ip - 1);
  int family = strchr(ip, ':') ? AF_INET6 : AF_INET;
  int valid = inet_pton(family, ip, addr) == 1;
  if (control_list("f", &list) == 1) {
    int any = 0, wrong = 0;
    struct fuzz f = { file->s, file->len }, line;
    while (!wrong && take_entry(&f, &line)) {
      int r = net_holds(line.s, line.len, valid ? family : 0, addr);
      wrong = r == -1;
      any |= r == 1;
    }
    REQUIRE(netlist_build(&l, &list, &bad) == !wrong);
    REQUIRE(!wrong || (bad >= list.s && bad < list.s + list.len));
    if (!wrong) REQUIRE(netlist_has(&l, ip) == (valid && any));
  }
  netlist_free(&l);
  stralloc_free(&list);
}

static void test_file(unsigned int which, struct fuzz f)
{
  struct file file = take_and_put(&f, "control/f");
  struct fuzz key = fuzz_until(&f, 0);
  switch (which) {
  case 0: test_line(&file); break;
  case 1: test_list(&file); break;
  case 2: test_map(&file, fuzz_byte(&f) % 2 ? ':' : 0, key); break;
  default: test_networks(&file, key);
  }
  free(file.s);
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  struct fuzz packed = { (char const *)in, inlen }, f;
  unsigned int which = fuzz_byte(&packed) % 8;
  char *s = fuzz_unpack(packed, &f.len);
  f.s = s;
  switch (which) {
  case 4: test_send_route(f); break;
  case 5: test_verp(f); break;
  case 6: test_remote_route(f); break;
  case 7: test_settings(f); break;
  default: test_file(which, f);
  }
  free(s);
  return 0;
}
