/* t-usersdb.c - users/cdb against a plain table; damaged in any byte it never says "no such user"
 */

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "check.h"
#include "usersdb.h"

/* Lines of users/assign; the ones with '+' are wildcards. */
static struct line {
  char kind;
  char const *name, *user, *ext;
} const lines[] = {
    {'=', "joe", "joe", ""},           {'+', "joe-", "joe", ""},
    {'+', "joe-list-", "lists", "l-"}, {'=', "joe-list-one", "one", "x"},
    {'+', "joe", "joesthing", ""},     {'=', "Ann", "ann", ""},
    {'=', "joe", "second", ""},        {'+', "Info+", "info", "pre"},
};
#define NLINES (sizeof lines / sizeof *lines)

/* Write users/cdb as qmail-newu does; with <catchall> a last line "+:...". */
static void make(char const *path, int catchall)
{
  struct cdb_make m;
  char key[128], value[256], wild[NLINES + 1];
  unsigned int nwild = 0;
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd == -1 || cdb_make_start(&m, fd)) exit(111);
  for (size_t i = 0; i < NLINES + (size_t)catchall; i++) {
    struct line const *l = i < NLINES ? lines + i : &(struct line){'+', "", "all", ""};
    int klen = snprintf(key, sizeof key, "!%s", l->name) + (l->kind == '=');
    for (char *p = key; *p; p++)
      if (*p >= 'A' && *p <= 'Z') *p += 'a' - 'A';
    int vlen = snprintf(value, sizeof value, "%s%c100%c200%c/home/%s%c-%c%s", l->user, 0, 0, 0,
                        l->user, 0, 0, l->ext);
    if (cdb_make_add(&m, key, (unsigned int)klen, value, (unsigned int)vlen)) exit(111);
    if (l->kind == '+' && *l->name) wild[nwild++] = l->name[strlen(l->name) - 1];
  }
  if (cdb_make_add(&m, "", 0, wild, nwild) || cdb_make_finish(&m) || close(fd)) exit(111);
}

/* The same by looking at each line: an exact one, else the longest wildcard; the first of equals.
 */
static struct line const *naive(char const *local, int catchall, size_t *used)
{
  static struct line const all = {'+', "", "all", ""};
  struct line const *best = catchall ? &all : 0;
  *used = 0;
  for (size_t i = 0; i < NLINES; i++)
    if (lines[i].kind == '=' && !strcasecmp(lines[i].name, local))
      return *used = strlen(local), lines + i;
  for (size_t i = 0; i < NLINES; i++) {
    size_t n = strlen(lines[i].name);
    if (lines[i].kind != '+' || strncasecmp(lines[i].name, local, n)) continue;
    if (best && n <= *used && *best->name) continue;
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

/* Is this what the table says? */
static int is_right(struct mailuser const *u, char const *local, int catchall)
{
  size_t used;
  char ext[256];
  struct line const *l = naive(local, catchall, &used);
  if (!l) return 0;
  snprintf(ext, sizeof ext, "%s%s", l->ext, local + used);
  return !strcmp(u->user, l->user) && u->uid == 100 && u->gid == 200 && !strcmp(u->dash, "-") &&
         !strcmp(u->ext, ext) && !strncmp(u->home, "/home/", 6);
}

static int find(char const *path, char const *local, struct mailuser *u)
{
  struct cdbmap_stamp stamp = {.size = 0};
  return usersdb_find(AT_FDCWD, path, local, strlen(local), &stamp, u);
}

static void model(int catchall)
{
  struct mailuser u = MAILUSER_ZERO;
  char why[128];
  make("users.cdb", catchall);
  for (size_t i = 0; i < NLOCALS; i++) {
    size_t used;
    int r = find("users.cdb", locals[i], &u);
    snprintf(why, sizeof why, "%s%s: as the table says", locals[i],
             catchall ? " with a catch-all" : "");
    check(naive(locals[i], catchall, &used) ? r == 1 && is_right(&u, locals[i], catchall) : r == 0,
          why);
  }
}

static char whole[65536], broken[65536];
static size_t size;

static void load(void)
{
  int fd = open("users.cdb", O_RDONLY);
  ssize_t n = fd == -1 ? -1 : read(fd, whole, sizeof whole);
  if (n <= 0 || close(fd)) exit(111);
  size = (size_t)n;
}

static void store(char const *s, size_t len)
{
  int fd = open("broken.cdb", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd == -1 || write(fd, s, len) != (ssize_t)len || close(fd)) exit(111);
}

/* Look up everybody in broken.cdb: the number of lookups that lie about who there is. */
static int lies(void)
{
  struct mailuser u = MAILUSER_ZERO;
  int bad = 0;
  for (size_t i = 0; i < NLOCALS; i++) {
    size_t used;
    int r = find("broken.cdb", locals[i], &u);
    if (r == 0 && naive(locals[i], 0, &used)) bad++;
    if (r == -1 && errno != EPROTO) bad++;
  }
  stralloc_free(&u.text);
  return bad;
}

static void damage(void)
{
  int cut = 0, flipped = 0;
  make("users.cdb", 0);
  load();
  for (size_t n = 0; n < size; n++) {
    store(whole, n);
    cut += lies();
  }
  check(cut == 0, "a file cut anywhere never says that a user is not there");
  for (size_t n = 0; n < size; n++) {
    memcpy(broken, whole, size);
    broken[n] = (char)(broken[n] ^ 1 << (n * 5 % 8));
    store(broken, size);
    flipped += lies();
  }
  check(flipped == 0, "a file with a bit turned in any byte never says that a user is not there");
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
  struct cdbmap_stamp stamp = {.size = 0};
  struct mailuser u = MAILUSER_ZERO;
  make("users.cdb", 0);
  check(usersdb_find(AT_FDCWD, "users.cdb", "zz", 2, &stamp, &u) == 0 && stamp.size > 0,
        "a sound file is remembered");
  load();
  store(whole, size);
  check(usersdb_find(AT_FDCWD, "broken.cdb", "zz", 2, &stamp, &u) == 0,
        "another sound file is checked and found sound");
  memcpy(broken, whole, size);
  broken[2048 + 8 + 1] ^= 1; /* a key */
  store(broken, size);
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
  odd_values();
  stamps();
  damage();
  return check_done();
}
