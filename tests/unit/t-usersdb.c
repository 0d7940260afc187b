/* t-usersdb.c - users/cdb against a plain table; damaged in any byte it never says "no such user" */

#include <cdb.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "../../tools/assign.h"
#include "check.h"
#include "damage.h"
#include "usersdb.h"

#define LINES_MAX  12
#define LOCAL_MAX 8
#define TABLES     400 /* random ones */
#define SEED       20261128

/* A line of users/assign; the ones with '+' are wildcards. */
struct line {
  char kind;
  char name[24], user[24], ext[8];
};

static struct line const known[] = {
    {'=', "joe", "joe", ""},           {'+', "joe-", "joe", ""},
    {'+', "joe-list-", "lists", "l-"}, {'=', "joe-list-one", "one", "x"},
    {'+', "joe", "joesthing", ""},     {'=', "Ann", "ann", ""},
    {'=', "joe", "second", ""},        {'+', "Info+", "info", "pre"},
    {'+', "", "all", ""},
};
#define NKNOWN (sizeof known / sizeof *known)

/* The table at hand. */
static struct line lines[LINES_MAX];
static size_t nlines;

static void take_known(int catchall)
{
  nlines = NKNOWN - !catchall;
  memcpy(lines, known, nlines * sizeof *lines);
}

/* Write users/cdb as pipit-newu does. */
static void make(char const *path)
{
  struct cdb_make m;
  struct assign a = ASSIGN_ZERO;
  char text[256];
  unlink(path);
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd == -1 || cdb_make_start(&m, fd)) exit(111);
  for (size_t i = 0; i < nlines; i++) {
    struct line const *l = lines + i;
    int n = snprintf(text, sizeof text, "%c%s:%s:100:200:/home/%s:-:%s:", l->kind, l->name, l->user,
                     l->user, l->ext);
    if (assign_line(&a, text, (size_t)n) || a.doubt) exit(111);
    if (cdb_make_add(&m, a.key.s, (unsigned int)a.key.len, a.value.s, (unsigned int)a.value.len))
      exit(111);
  }
  if (cdb_make_add(&m, "", 0, a.wild.s, (unsigned int)a.wild.len) || cdb_make_finish(&m) ||
      close(fd))
    exit(111);
  stralloc_free(&a.key);
  stralloc_free(&a.value);
  stralloc_free(&a.wild);
}

/* The same by looking at each line: an exact one, else the longest wildcard; the first of equals.
 */
static struct line const *naive(char const *local, size_t *used)
{
  struct line const *best = 0;
  *used = strlen(local);
  for (size_t i = 0; i < nlines; i++)
    if (lines[i].kind == '=' && !strcasecmp(lines[i].name, local)) return lines + i;
  *used = 0;
  for (size_t i = 0; i < nlines; i++) {
    size_t n = strlen(lines[i].name);
    if (lines[i].kind != '+' || strncasecmp(lines[i].name, local, n)) continue;
    if (best && n <= *used) continue;
    best = lines + i;
    *used = n;
  }
  return best;
}

static char const *const locals[] = {
    "joe",          "JOE",     "joe-", "joe-X", "joe-list-", "joe-list-One",
    "joe-List-Two", "joe-lis", "joel", "jo",    "ann",       "aNN-x",
    "INFO+Tag",     "info",    "x",    "-",     "zz-zz"};
#define NLOCALS (sizeof locals / sizeof *locals)

static int find(char const *path, char const *local, struct mailuser *u)
{
  struct cdbmap_stamp stamp = {.size = 0};
  return usersdb_find(AT_FDCWD, path, local, strlen(local), &stamp, u);
}

/* Is the answer <r> and <u> what the table says? */
static int is_right(int r, struct mailuser const *u, char const *local)
{
  size_t used;
  char ext[256], home[64];
  struct line const *l = naive(local, &used);
  if (!l || r != 1) return !l && r == 0;
  snprintf(ext, sizeof ext, "%s%s", l->ext, local + used);
  snprintf(home, sizeof home, "/home/%s", l->user);
  return !strcmp(u->user, l->user) && u->uid == 100 && u->gid == 200 && !strcmp(u->dash, "-") &&
         !strcmp(u->ext, ext) && !strcmp(u->home, home) && !u->delivery;
}

static void model(int catchall)
{
  struct mailuser u = MAILUSER_ZERO;
  char why[128];
  take_known(catchall);
  make("users.cdb");
  for (size_t i = 0; i < NLOCALS; i++) {
    int r = find("users.cdb", locals[i], &u);
    snprintf(why, sizeof why, "%s%s: as the table says", locals[i],
             catchall ? " with a catch-all" : "");
    check(is_right(r, &u, locals[i]), why);
  }
}

/* A name of a few letters, so that many begin alike. */
static void random_name(char *s, size_t max)
{
  static char const letters[] = "aAb-+";
  size_t n = (size_t)random() % max;
  for (size_t i = 0; i < n; i++) s[i] = letters[(size_t)random() % (sizeof letters - 1)];
  s[n] = 0;
}

static void take_random(void)
{
  nlines = (size_t)random() % LINES_MAX;
  for (size_t i = 0; i < nlines; i++) {
    struct line *l = lines + i;
    l->kind = random() % 2 ? '=' : '+';
    random_name(l->name, 4);
    snprintf(l->user, sizeof l->user, "u%zu", i);
    random_name(l->ext, 3);
  }
}

static void random_tables(void)
{
  struct mailuser u = MAILUSER_ZERO;
  int wrong = 0;
  srandom(SEED);
  for (int i = 0; i < TABLES; i++) {
    take_random();
    make("users.cdb");
    for (int j = 0; j < 60; j++) {
      char local[LOCAL_MAX];
      random_name(local, sizeof local);
      wrong += !is_right(find("users.cdb", local, &u), &u, local);
    }
  }
  check(wrong == 0, "random tables: every answer is what the lines say");
  stralloc_free(&u.text);
}

/* Does the byte at <at> belong to a value? qmail's format has nothing that says it is spoiled. */
static int is_value(struct damage const *d, size_t at)
{
  for (size_t pos = 2048; pos + 8 <= d->size;) {
    uint32_t klen, vlen;
    memcpy(&klen, d->whole + pos, 4);
    memcpy(&vlen, d->whole + pos + 4, 4);
    klen = le32toh(klen);
    vlen = le32toh(vlen);
    size_t value = pos + 8 + klen;
    if (at >= value && at < value + vlen) return 1;
    pos = value + vlen;
    if (!klen) return 0; /* the record of the key "" is the last one */
  }
  return 0;
}

/* Look up everybody in broken.cdb: the number of answers that are neither right nor "cannot
 * tell". A value may be another one, but then still somebody's. */
static int lies(struct damage const *d, size_t at)
{
  struct mailuser u = MAILUSER_ZERO;
  int bad = 0;
  for (size_t i = 0; i < NLOCALS; i++) {
    int r = find("broken.cdb", locals[i], &u);
    if (r == -1) bad += errno != EPROTO;
    else if (!is_right(r, &u, locals[i])) bad += r != 1 || at == DAMAGE_CUT || !is_value(d, at);
  }
  stralloc_free(&u.text);
  return bad;
}

static void damage(void)
{
  static struct damage d;
  take_known(0);
  make("users.cdb");
  damage_load(&d, "users.cdb");
  check(damage_cut(&d, "broken.cdb", lies) == 0, "a file cut anywhere: the right answer, or none");
  check(damage_spoil(&d, "broken.cdb", lies) == 0,
        "a bit turned in any byte: the right answer, or none, or another value");
}

#define V(s) s, sizeof s - 1
static struct value_case {
  char const *why, *value;
  unsigned int len;
} const values[] = {
    {"five fields", V("u\0"
                      "1\0"
                      "2\0/h\0-")},
    {"a uid that is no number", V("u\0x\0"
                                  "2\0/h\0-\0e")},
    {"a gid that is no number", V("u\0"
                                  "1\0-2\0/h\0-\0e")},
    {"an empty uid", V("u\0\0"
                       "2\0/h\0-\0e")},
    {"a uid too large", V("u\0"
                          "99999999999\0"
                          "2\0/h\0-\0e")},
    {"no user", V("\0"
                  "1\0"
                  "2\0/h\0-\0e")},
    {"a home that is no path", V("u\0"
                                 "1\0"
                                 "2\0h/\0-\0e")},
    {"nothing", V("")},
    {"seven fields", V("u\0"
                       "1\0"
                       "2\0/h\0-\0e\0x")},
};

static void odd_values(void)
{
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    struct cdb_make m;
    struct mailuser u = MAILUSER_ZERO;
    char why[128];
    int fd = open("odd.cdb", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd == -1 || cdb_make_start(&m, fd) || cdb_make_add(&m, "", 0, "", 0) ||
        cdb_make_add(&m, "!u", 3, values[i].value, values[i].len) || cdb_make_finish(&m) ||
        close(fd))
      exit(111);
    snprintf(why, sizeof why, "an entry with %s is trouble", values[i].why);
    check(find("odd.cdb", "u", &u) == -1 && errno == EPROTO, why);
  }
}

static void stamps(void)
{
  static struct damage d;
  struct cdbmap_stamp stamp = {.size = 0};
  struct mailuser u = MAILUSER_ZERO;
  take_known(0);
  make("users.cdb");
  check(usersdb_find(AT_FDCWD, "users.cdb", "zz", 2, &stamp, &u) == 0 && stamp.size > 0,
        "a sound file is remembered");
  damage_load(&d, "users.cdb");
  damage_store("broken.cdb", d.whole, d.size);
  check(usersdb_find(AT_FDCWD, "broken.cdb", "zz", 2, &stamp, &u) == 0,
        "another sound file is checked and found sound");
  d.whole[2048 + 8 + 1] ^= 1; /* a key */
  damage_store("broken.cdb", d.whole, d.size);
  check(usersdb_find(AT_FDCWD, "broken.cdb", "zz", 2, &stamp, &u) == -1,
        "and a changed one is checked again");
}

int main(void)
{
  char const *scratch = getenv("SCRATCH");
  struct mailuser u = MAILUSER_ZERO;
  if (!scratch || chdir(scratch)) return 111;
  check(find("missing.cdb", "joe", &u) == 0, "without a file nobody is in it");
  model(0);
  model(1);
  random_tables();
  odd_values();
  stamps();
  damage();
  return check_done();
}
