/* tlspolicy.c - how much TLS mail for a host needs; see tlspolicy.h */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <skalibs/bytestr.h>
#include <skalibs/stralloc.h>

#include "control.h"
#include "tlspolicy.h"

#define SEPARATOR '\1' /* in place of the ':' after the name, which may hold others in brackets */
#define BLANKS    " \t"
#define WHY_ROOM  256
#define HOST_MAX  253 /* bytes of a domain */
#define MARK      "/tls."

static char const *const levels[] = { [TLSPOLICY_NONE] = "none",
                                      [TLSPOLICY_MAY] = "may",
                                      [TLSPOLICY_ENCRYPT] = "encrypt",
                                      [TLSPOLICY_VERIFY] = "verify" };

/* --- words --- */

static int is_word(char const *s, size_t len, char const *word)
{
  return len == strlen(word) && !memcmp(s, word, len);
}

/* The value behind <key> in s[0..*len), which becomes its length. NULL: it is another word. */
static char const *value_of(char const *key, char const *s, size_t *len)
{
  size_t n = strlen(key);
  if (*len <= n || memcmp(s, key, n)) return 0;
  *len -= n;
  return s + n;
}

static int copy(char *to, size_t size, char const *s, size_t len)
{
  if (len >= size) return 0;
  memcpy(to, s, len);
  to[len] = 0;
  case_lowerb(to, len);
  return 1;
}

/* Names with commas between them, each of what may be in one: no empty one. */
static int take_match(struct tlspolicy *p, char const *s, size_t len)
{
  static char const good[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.,[]:";
  if (!copy(p->match, sizeof p->match, s, len) || p->match[strspn(p->match, good)]) return 0;
  return *p->match != ',' && p->match[len - 1] != ',' && p->match[len - 1] != '.' &&
         !strstr(p->match, ",,");
}

/* A file's name, without its end: no other folder. */
static int take_ca(struct tlspolicy *p, char const *s, size_t len)
{
  if (len >= sizeof p->ca || *s == '.' || memchr(s, '/', len)) return 0;
  memcpy(p->ca, s, len);
  p->ca[len] = 0;
  return 1;
}

static int is_hex(char c)
{
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static int take_prints(struct tlspolicy *p, char const *s, size_t len)
{
  size_t n = 0, digits = 0;
  for (size_t i = 0; i < len; i++) {
    char c = s[i] >= 'A' && s[i] <= 'F' ? (char)(s[i] + 32) : s[i];
    if (c == ':') continue;
    if (n + 1 == sizeof p->prints) return 0;
    p->prints[n++] = c;
    if (c == ',' ? digits != TLSPOLICY_PRINT : !is_hex(c)) return 0;
    digits = c == ',' ? 0 : digits + 1;
    if (digits > TLSPOLICY_PRINT) return 0;
  }
  p->prints[n] = 0;
  return digits == TLSPOLICY_PRINT;
}

int tlspolicy_word(struct tlspolicy *p, char const *s, size_t len)
{
  size_t n = len;
  char const *value;
  for (enum tlslevel l = TLSPOLICY_NONE; l <= TLSPOLICY_VERIFY; l++)
    if (is_word(s, len, levels[l])) return p->level = l, 1;
  if (is_word(s, len, "wrapper")) return p->wrapper = 1;
  if ((value = value_of("match=", s, &n))) return take_match(p, value, n);
  if ((value = value_of("ca=", s, &n))) return take_ca(p, value, n);
  if ((value = value_of("fingerprint=", s, &n))) return take_prints(p, value, n);
  return 0;
}

char const *tlspolicy_check(struct tlspolicy *p)
{
  if (p->wrapper && (p->level == TLSPOLICY_UNSET || p->level == TLSPOLICY_MAY))
    p->level = TLSPOLICY_ENCRYPT;
  if (p->level == TLSPOLICY_UNSET) return "write none, may, encrypt or verify";
  if (p->wrapper && p->level == TLSPOLICY_NONE) return "wrapper is nothing without TLS";
  if (p->level != TLSPOLICY_VERIFY && (*p->match || *p->ca || *p->prints))
    return "match=, ca= and fingerprint= belong to verify";
  if (*p->prints && (*p->match || *p->ca)) return "with fingerprint=, match= and ca= say nothing";
  return 0;
}

char const *tlspolicy_parse(struct tlspolicy *p, char const *s)
{
  memset(p, 0, sizeof *p);
  for (s += strspn(s, BLANKS); *s; s += strspn(s, BLANKS)) {
    size_t len = strcspn(s, BLANKS);
    if (!tlspolicy_word(p, s, len))
      return "write none, may, encrypt or verify, and with verify match=, ca= or fingerprint=";
    s += len;
  }
  return tlspolicy_check(p);
}

int tlspolicy_same(struct tlspolicy const *a, struct tlspolicy const *b)
{
  return a->level == b->level && a->wrapper == b->wrapper && !strcmp(a->match, b->match) &&
         !strcmp(a->ca, b->ca) && !strcmp(a->prints, b->prints);
}

/* --- the file --- */

/* Mark the end of the name in one entry, and check what follows. NULL, or what is wrong. */
static char const *check_entry(char *s)
{
  struct tlspolicy p;
  char *end = *s == '[' ? strchr(s, ']') : s;
  char *colon = end ? strchr(end, ':') : 0;
  if (!colon || strcspn(s, BLANKS) < (size_t)(colon - s)) return "write name:level";
  char const *why = tlspolicy_parse(&p, colon + 1);
  if (!why) *colon = SEPARATOR;
  return why;
}

static int check_all(stralloc *list)
{
  char why[WHY_ROOM];
  for (size_t i = 0; i < list->len; i += strlen(list->s + i) + 1) {
    char const *what = check_entry(list->s + i);
    if (!what) continue;
    snprintf(why, sizeof why, "%s: %.100s", what, list->s + i);
    control_bad_entry(TLSPOLICY_FILE, why);
    return 0;
  }
  return 1;
}

int tlspolicy_load(struct tlspolicies *t)
{
  stralloc list = STRALLOC_ZERO;
  int ok = control_list(TLSPOLICY_FILE, &list) != -1 && check_all(&list);
  if (ok && !map_build(&t->map, &list, SEPARATOR)) {
    control_bad_entry(TLSPOLICY_FILE, "out of memory");
    ok = 0;
  }
  stralloc_free(&list);
  return ok;
}

void tlspolicy_free(struct tlspolicies *t)
{
  map_free(&t->map);
}

/* The length of a relay's name, without port and protocol; 0 for none and for sockets. */
static size_t relay_len(char const *relay)
{
  char const *end = *relay == '[' ? strchr(relay, ']') : 0;
  if (*relay == '/') return 0;
  return end ? (size_t)(end - relay) + 1 : strcspn(relay, ":");
}

/* The domain as lines write it: without a last dot. */
static size_t host_len(char const *host)
{
  size_t len = strlen(host);
  return len && host[len - 1] == '.' ? len - 1 : len;
}

int tlspolicy_complete(struct tlspolicy *p, char const *host, char const *relay)
{
  size_t len = relay_len(relay);
  int n = (int)host_len(host);
  if (p->level != TLSPOLICY_VERIFY || *p->match || *p->prints) return 0;
  if (len) {
    copy(p->match, sizeof p->match, relay, len);
    return 0;
  }
  if (n > HOST_MAX) n = HOST_MAX;
  if (*host != '[') snprintf(p->match, sizeof p->match, "%.*s,.%.*s", n, host, n, host);
  else if (strncasecmp(host, "[IPv6:", 6)) snprintf(p->match, sizeof p->match, "%.*s", n, host);
  else snprintf(p->match, sizeof p->match, "[%.*s", n - 6, host + 6);
  case_lowerb(p->match, strlen(p->match));
  return 1;
}

int tlspolicy_find(struct tlspolicies const *t, char const *host, char const *relay,
                   struct tlspolicy *p)
{
  size_t len = host_len(host);
  size_t relaylen = relay_len(relay);
  char const *value = len && t->map.count ? map_find_domain(&t->map, host, len) : 0;
  int own = value != 0;
  if (!value && relaylen && t->map.count) value = map_find_domain(&t->map, relay, relaylen);
  if (!value) value = map_find(&t->map, "", 0);
  if (!value || tlspolicy_parse(p, value)) { /* they were checked */
    memset(p, 0, sizeof *p);
    p->level = TLSPOLICY_MAY;
  }
  return tlspolicy_complete(p, host, relay) || own;
}

/* --- marks --- */

/* FNV-1a over a string and its NUL. */
static uint64_t add(uint64_t h, char const *s)
{
  do h = (h ^ (unsigned char)*s) * 0x100000001b3u;
  while (*s++);
  return h;
}

int tlspolicy_mark(struct tlspolicy const *p, char *name, size_t size)
{
  size_t len = strlen(name);
  char const level[] = { (char)('0' + p->level), (char)('0' + p->wrapper), 0 };
  uint64_t h = add(add(add(add(0xcbf29ce484222325u, level), p->match), p->ca), p->prints);
  if (size <= TLSPOLICY_MARK_MAX || len > size - 1 - TLSPOLICY_MARK_MAX) return 0;
  snprintf(name + len, size - len, MARK "%016llx", (unsigned long long)h);
  return 1;
}
