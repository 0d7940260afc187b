/* fuzz-cdb.c - cdb files, sound and damaged: lib/cdbmap.c, tcprules.c, usersdb.c
 *
 * Input: a byte of options, a byte with the number of damaged bytes, three
 * bytes for each of these, then parts that end with a NUL each: two to look
 * for, then keys and values in turn. In them the byte 1 stands for a NUL.
 */

#include <arpa/inet.h>
#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <skalibs/stralloc.h>

#include "cdbmap.h"
#include "fuzz.h"
#include "tcprules.h"
#include "usersdb.h"

#define RECORDS_MAX 40
#define DAMAGE_MAX  8
#define HEAD        2048

struct part {
  char *s; /* NUL-terminated, as a string of its own */
  size_t len;
};

struct record {
  struct part key, value;
};

static struct {
  int fd;
  char path[64];
  struct record records[RECORDS_MAX];
  size_t count;
  int damaged;
} db = { .fd = -1 };

static struct part take_part(struct fuzz *f)
{
  struct fuzz s = fuzz_until(f, 0);
  struct part p = { malloc(s.len + 1), s.len };
  for (size_t i = 0; i < s.len; i++) p.s[i] = s.s[i] == 1 ? 0 : s.s[i];
  p.s[s.len] = 0;
  return p;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  db.fd = memfd_create("cdb", 0);
  snprintf(db.path, sizeof db.path, "/proc/self/fd/%d", db.fd);
  return db.fd == -1;
}

static void make(struct fuzz *f)
{
  struct cdb_make m;
  if (ftruncate(db.fd, 0) || lseek(db.fd, 0, SEEK_SET) || cdb_make_start(&m, db.fd)) abort();
  for (db.count = 0; f->len && db.count < RECORDS_MAX; db.count++) {
    struct record *r = db.records + db.count;
    r->key = take_part(f);
    r->value = take_part(f);
    if (cdb_make_add(&m, r->key.s, (unsigned int)r->key.len, r->value.s,
                     (unsigned int)r->value.len))
      abort();
  }
  if (cdb_make_finish(&m)) abort();
}

/* Three bytes: where and what. A place in the header counts twice as often: it is small. */
static void damage(struct fuzz *f, unsigned int count)
{
  off_t size = lseek(db.fd, 0, SEEK_END);
  db.damaged = 0;
  for (unsigned int i = 0; i < count; i++) {
    unsigned int where = fuzz_byte(f) << 8;
    where |= fuzz_byte(f);
    char what = (char)fuzz_byte(f), before;
    off_t at = where & 1 ? (off_t)where / 2 % HEAD : (off_t)where / 2 * 7 % size;
    if (pread(db.fd, &before, 1, at) != 1 || pwrite(db.fd, &what, 1, at) != 1) abort();
    db.damaged |= before != what;
  }
}

static struct part const *find(char const *key, size_t len)
{
  for (size_t i = 0; i < db.count; i++) {
    struct record const *r = db.records + i;
    if (r->key.len == len && (!len || !memcmp(r->key.s, key, len))) return &r->value;
  }
  return 0;
}

static int is_value(stralloc const *sa, struct part const *p)
{
  return sa->len == p->len && (!p->len || !memcmp(sa->s, p->s, p->len));
}

static void look_up(struct cdbmap *map, char const *key, size_t len)
{
  stralloc value = STRALLOC_ZERO;
  struct part const *expected = find(key, len);
  int r = cdbmap_get(map, key, len, &value);
  REQUIRE(r != -1 || errno == EPROTO);
  if (!db.damaged) REQUIRE(r == (expected != 0) && (!r || is_value(&value, expected)));
  stralloc_free(&value);
}

static uint32_t number(char const *s)
{
  unsigned char const *u = (unsigned char const *)s;
  return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

/* In a file that holds, every record can be found. */
static void walk(struct cdbmap *map)
{
  off_t size = lseek(db.fd, 0, SEEK_END);
  char *s = malloc((size_t)size);
  if (pread(db.fd, s, (size_t)size, 0) != size) abort();
  uint64_t end = number(s), pos = HEAD; /* of the records: where the first table begins */
  REQUIRE(end >= HEAD && end <= (uint64_t)size);
  while (pos < end) {
    REQUIRE(pos + 8 <= (uint64_t)size);
    uint64_t klen = number(s + pos), vlen = number(s + pos + 4);
    REQUIRE(pos + 8 + klen + vlen <= (uint64_t)size);
    stralloc value = STRALLOC_ZERO;
    REQUIRE(cdbmap_get(map, s + pos + 8, klen, &value) == 1);
    stralloc_free(&value);
    pos += 8 + klen + vlen;
  }
  free(s);
}

static void test_map(struct cdbmap *map, struct part const *key)
{
  struct cdbmap_stamp stamp;
  memset(&stamp, 0, sizeof stamp);
  look_up(map, key->s, key->len);
  for (size_t i = 0; i < db.count; i++) look_up(map, db.records[i].key.s, db.records[i].key.len);
  int r = cdbmap_verify(map, &stamp);
  REQUIRE(r == 1 || (r == -1 && errno == EPROTO && db.damaged));
  if (r == 1) walk(map);
  if (r == 1) REQUIRE(cdbmap_verify(map, &stamp) == 1);
}

/* --- rules --- */

static struct part const *find3(char const *a, char const *b, char const *c)
{
  char key[1100];
  int n = snprintf(key, sizeof key, "%s%s%s", a, b, c);
  return n < 1024 ? find(key, (size_t)n) : 0;
}

static struct part const *find_network(char const *ip)
{
  struct in_addr a;
  char text[INET_ADDRSTRLEN], bits[8];
  if (inet_pton(AF_INET, ip, &a) != 1) return 0;
  for (int n = 31; n > 0; n--) {
    struct in_addr net = { htonl(ntohl(a.s_addr) & ~0u << (32 - n)) };
    snprintf(bits, sizeof bits, "/%d", n);
    struct part const *p = find3(inet_ntop(AF_INET, &net, text, sizeof text), bits, "");
    if (p) return p;
  }
  return 0;
}

/* The rule for the client, by the order in tcprules.h. */
static struct part const *find_rule(char const *ip, char const *host, char const *info)
{
  struct part const *p = info ? find3(info, "@", ip) : 0;
  if (!p && info && host) p = find3(info, "@=", host);
  if (!p) p = find(ip, strlen(ip));
  if (!p && host) p = find3("=", host, "");
  if (!p) p = find_network(ip);
  for (size_t n = strlen(ip); !p && n; n--)
    if (ip[n - 1] == '.' || ip[n - 1] == ':') p = find(ip, n);
  for (char const *s = host; !p && s && *s; s++)
    if (*s == '.') p = find3("=", s, "");
  if (!p && host) p = find("=", 1);
  return p ? p : find("", 0);
}

static void test_rules(struct cdbmap *map, unsigned int options, char const *ip, char const *name)
{
  stralloc rule = STRALLOC_ZERO;
  char const *host = options & 1 ? name : 0, *info = options & 2 ? "joe" : 0;
  int r = tcprules_find(map, ip, host, info, 1, &rule);
  REQUIRE(r != -1 || errno == EPROTO);
  if (!db.damaged && !strchr(ip, ':')) {
    struct part const *expected = find_rule(ip, host, info);
    REQUIRE(r == (expected != 0) && (!r || is_value(&rule, expected)));
  }
  size_t pos = 0, before = 0;
  char const *var;
  for (int n; r == 1 && (n = tcprules_next(&rule, &pos, &var)) > 0; before = pos) {
    REQUIRE(pos > before && pos <= rule.len);
    if (n == 1)
      REQUIRE(var == rule.s + before + 1 && strchr(var, '=') && strlen(var) + 2 == pos - before);
  }
  stralloc_free(&rule);
}

/* --- users --- */

static int is_inside(stralloc const *text, char const *s)
{
  return s >= text->s && s < text->s + text->len && memchr(s, 0, (size_t)(text->s + text->len - s));
}

static void test_users(struct part const *local)
{
  struct cdbmap_stamp stamp;
  struct mailuser u = MAILUSER_ZERO;
  stralloc key = STRALLOC_ZERO;
  memset(&stamp, 0, sizeof stamp);
  size_t len = strlen(local->s);
  int r = usersdb_find(AT_FDCWD, db.path, local->s, len, &stamp, &u);
  REQUIRE(r != -1 || errno == EPROTO);
  if (r == 1) {
    REQUIRE(is_inside(&u.text, u.user) && is_inside(&u.text, u.home) && is_inside(&u.text, u.dash));
    REQUIRE(is_inside(&u.text, u.ext) && *u.home == '/' && *u.user);
  }
  if (!db.damaged) { /* an exact entry comes first, then the longest prefix */
    if (!stralloc_catb(&key, "!", 1) || !stralloc_catb(&key, local->s, len + 1)) abort();
    for (size_t i = 1; i < key.len; i++)
      if (key.s[i] >= 'A' && key.s[i] <= 'Z') key.s[i] = (char)(key.s[i] + 32);
    struct part const *p = find(key.s, key.len);
    int wild = !p;
    size_t n = key.len - 1;
    for (; wild && !p && n; n--) p = find(key.s, n);
    if (wild && !find("", 0))
      REQUIRE(r == -1);
    else if (!p)
      REQUIRE(r == 0);
    else if (r == 1) {
      size_t user = strlen(u.user);
      REQUIRE(user <= p->len && !memcmp(u.user, p->s, user));
      if (wild)
        REQUIRE(strlen(u.ext) >= len - n &&
                !strcmp(u.ext + strlen(u.ext) - (len - n), local->s + n));
    }
  }
  stralloc_free(&key);
  stralloc_free(&u.text);
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  struct fuzz f = { (char const *)in, inlen };
  struct cdbmap *map = 0;
  unsigned int options = fuzz_byte(&f);
  unsigned int count = fuzz_below(&f, DAMAGE_MAX + 1);
  struct fuzz wounds = { f.s, f.len < 3 * count ? f.len : 3 * count };
  f.s += wounds.len;
  f.len -= wounds.len;
  struct part a = take_part(&f), b = take_part(&f);
  make(&f);
  damage(&wounds, count);
  if (options & 64) { /* cut off */
    off_t size = lseek(db.fd, 0, SEEK_END);
    if (ftruncate(db.fd, size * (off_t)(options >> 2 & 15) / 16)) abort();
    db.damaged = 1;
  }
  int r = cdbmap_open(&map, AT_FDCWD, db.path);
  REQUIRE(r == 1 || (r == -1 && errno == EPROTO && db.damaged));
  if (r == 1) {
    test_map(map, &a);
    test_rules(map, options, a.s, b.s);
  }
  cdbmap_close(map);
  if (r == 1) test_users(&a);
  for (size_t i = 0; i < db.count; i++) free(db.records[i].key.s), free(db.records[i].value.s);
  free(a.s);
  free(b.s);
  return 0;
}
