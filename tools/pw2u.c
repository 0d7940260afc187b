/* pw2u.c - make lines of users/assign from entries of a password file, as qmail-pw2u does
 *
 * usage: pipit-pw2u [ -/ohHuUC ] [ -c char ] <passwd >users/assign
 *
 * -o: leave out users whose home is missing or not their own (default); -h: stop at a missing
 * home; -H: do not look at homes. -u: take names with upper case letters too; -U: do not
 * (default). -c: the character between a user's name and his extension; -C: there are no
 * extensions. -/: dot-qmail files are HOME/.qmail-/ext instead of HOME/.qmail-ext.
 *
 * exit: 0 done, 100 wrong usage, 111 trouble: nothing was printed.
 */

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/bytestr.h>
#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "accounts.h"
#include "admin.h"
#include "getpw.h"
#include "home.h"
#include "map.h"
#include "program.h"
#include "table.h"

#define USAGE "pipit-pw2u [ -/ohHuUC ] [ -c char ] <passwd"

enum homes { HOMES_SKIP, HOMES_STOP, HOMES_TRUST };

/* A list in users/ that may be missing. */
struct list {
  int given;
  struct map map;
};

struct pw2u {
  enum homes homes;
  int upper;
  char dash[3];
  char brk[2]; /* between name and extension; "": there are no extensions */
  struct list include, exclude, mailnames;
  stralloc users; /* "name:user:uid:gid:home" of each that was taken, NUL-terminated each */
  int alias;      /* the alias account was among them */
  stralloc out;
};

enum { PW_NAME, PW_PASSWORD, PW_UID, PW_GID, PW_GECOS, PW_HOME, PW_NEEDED };
enum { SUB_NAME, SUB_USER, SUB_PRE, SUB_NEEDED }; /* of users/subusers */

static void nomem(void) __attribute__((noreturn));
static void nomem(void)
{
  strerr_dief(EXIT_TEMPORARY, "out of memory");
}

/* Append strings, up to NULL. */
static void add(stralloc *sa, ...) __attribute__((sentinel));
static void add(stralloc *sa, ...)
{
  va_list args;
  va_start(args, sa);
  for (char const *s; (s = va_arg(args, char const *)) != 0;)
    if (!stralloc_cats(sa, s)) nomem();
  va_end(args);
}

/* Two lines: for the name <mail>, and for its extensions, which <more> separates from <ext>.
 * <user>: "user:uid:gid:home". */
static void assign(struct pw2u *p, char const *mail, char const *user, char const *dash,
                   char const *ext, char const *more)
{
  add(&p->out, "=", mail, ":", user, ":", dash, ":", ext, ":\n", (char *)0);
  if (!*p->brk) return;
  add(&p->out, "+", mail, p->brk, ":", user, ":", p->dash, ":", ext, more, ":\n", (char *)0);
}

/* The names that a user gets mail under, between colons: all of <names>. */
static void assign_names(struct pw2u *p, char const *names, char const *user)
{
  stralloc name = STRALLOC_ZERO;
  while (*names) {
    size_t n = strcspn(names, ":");
    if (!stralloc_copyb(&name, names, n) || !stralloc_append(&name, 0)) nomem();
    if (n) assign(p, name.s, user, "", "", "");
    names += n + (names[n] == ':');
  }
  stralloc_free(&name);
}

static int has_upper(char const *s)
{
  for (; *s; s++)
    if (*s >= 'A' && *s <= 'Z') return 1;
  return 0;
}

/* Is the home there, and the user's own? */
static int is_home(struct pw2u const *p, char const *home, uid_t uid)
{
  struct stat st;
  if (p->homes == HOMES_TRUST) return 1;
  if (stat(home, &st) == 0) return st.st_uid == uid;
  if (p->homes == HOMES_STOP || (errno != ENOENT && errno != ENOTDIR))
    strerr_diefusys(EXIT_TEMPORARY, "look at the home ", home);
  return 0;
}

static int is_listed(struct list const *l, char const *name)
{
  return map_find(&l->map, name, strlen(name)) != 0;
}

static int is_taken(struct pw2u const *p, char const *const *field)
{
  uid_t uid;
  char const *name = field[PW_NAME];
  if (!uid0_scan(field[PW_UID], &uid) || !uid || !*name) return 0;
  if (!p->upper && has_upper(name)) return 0;
  if (p->include.given && !is_listed(&p->include, name)) return 0;
  if (is_listed(&p->exclude, name)) return 0;
  return is_home(p, field[PW_HOME], uid);
}

/* The first fields of a line, in <sa>; a colon follows each. 0: there are not so many. */
static int cut(stralloc *sa, char const *s, size_t len, char const **field, int needed)
{
  size_t pos = 0;
  if (!stralloc_copyb(sa, s, len) || !stralloc_append(sa, 0)) nomem();
  for (int i = 0; i < needed; i++) {
    size_t n = byte_chr(sa->s + pos, len - pos, ':');
    if (pos + n == len) return 0;
    field[i] = sa->s + pos;
    pos += n;
    sa->s[pos++] = 0;
  }
  return 1;
}

static void take_entry(struct pw2u *p, char const *s, size_t len)
{
  stralloc text = STRALLOC_ZERO, user = STRALLOC_ZERO;
  char const *field[PW_NEEDED];
  if (cut(&text, s, len, field, PW_NEEDED) && is_taken(p, field)) {
    char const *name = field[PW_NAME];
    add(&user, name, ":", field[PW_UID], ":", field[PW_GID], ":", field[PW_HOME], (char *)0);
    if (!stralloc_append(&user, 0)) nomem();
    add(&p->users, name, ":", user.s, (char *)0);
    if (!stralloc_append(&p->users, 0)) nomem();
    if (!strcmp(name, account_name(ACCOUNT_ALIAS))) {
      add(&p->out, "+:", user.s, ":", p->dash, "::\n", (char *)0);
      p->alias = 1;
    }
    char const *names = map_find(&p->mailnames.map, name, strlen(name));
    assign_names(p, names ? names : name, user.s);
  }
  stralloc_free(&text);
  stralloc_free(&user);
}

static void take_entries(struct pw2u *p)
{
  struct table t;
  char *s;
  size_t len;
  table_read_input(&t, "the password entries");
  while (table_next(&t, &s, &len)) take_entry(p, s, len);
  stralloc_free(&t.text);
  if (!p->alias)
    strerr_dief(EXIT_TEMPORARY, "no user ", account_name(ACCOUNT_ALIAS),
                " among the entries, with a home of its own: it gets all other mail");
}

static void take_subuser(struct pw2u *p, struct map const *users, struct table *t, char const *s,
                         size_t len)
{
  stralloc text = STRALLOC_ZERO;
  char const *field[SUB_NEEDED];
  if (!cut(&text, s, len, field, SUB_NEEDED)) {
    table_warn(t, "is left out: write sub:user:pre:");
  } else {
    char const *user = map_find(users, field[SUB_USER], strlen(field[SUB_USER]));
    if (!user) table_bad(t, "its user is not among those that were taken");
    assign(p, field[SUB_NAME], user, p->dash, field[SUB_PRE], "-");
  }
  stralloc_free(&text);
}

static void take_subusers(struct pw2u *p)
{
  struct table t;
  struct map users = MAP_ZERO;
  char *s;
  size_t len;
  if (!table_read_if(&t, "users/subusers")) return;
  if (!map_build(&users, &p->users, ':')) nomem();
  while (table_next(&t, &s, &len))
    if (len) take_subuser(p, &users, &t, s, len);
  map_free(&users);
  stralloc_free(&t.text);
}

static void append(struct pw2u *p)
{
  struct table t;
  if (!table_read_if(&t, "users/append") || !t.text.len) return;
  if (!stralloc_catb(&p->out, t.text.s, t.text.len)) nomem();
  if (t.text.s[t.text.len - 1] != '\n') add(&p->out, "\n", (char *)0);
  stralloc_free(&t.text);
}

static void read_list(struct list *l, char const *path, char separator)
{
  stralloc list = STRALLOC_ZERO;
  l->given = table_list(&list, path);
  if (!map_build(&l->map, &list, separator)) nomem();
  stralloc_free(&list);
}

static void read_arguments(struct pw2u *p, int argc, char const *const *argv)
{
  subgetopt l = SUBGETOPT_ZERO;
  for (int opt; (opt = subgetopt_r(argc, argv, "/ohHuUCc:", &l)) != -1;) switch (opt) {
    case '/': memcpy(p->dash, "-/", 3); break;
    case 'o': p->homes = HOMES_SKIP; break;
    case 'h': p->homes = HOMES_STOP; break;
    case 'H': p->homes = HOMES_TRUST; break;
    case 'u': p->upper = 1; break;
    case 'U': p->upper = 0; break;
    case 'C': *p->brk = 0; break;
    case 'c': *p->brk = *l.arg; break;
    default: strerr_dieusage(EXIT_PERMANENT, USAGE);
    }
  if (l.ind != argc) strerr_dieusage(EXIT_PERMANENT, USAGE);
}

int pw2u_main(int argc, char const *const *argv)
{
  static struct pw2u p = {.dash = "-", .brk = {GETPW_BREAK, 0}};
  read_arguments(&p, argc, argv);
  if (home_fd() == -1) strerr_diefusys(EXIT_TEMPORARY, "open the instance ", home_dir());
  read_list(&p.include, "users/include", 0);
  read_list(&p.exclude, "users/exclude", 0);
  read_list(&p.mailnames, "users/mailnames", ':');
  take_entries(&p);
  take_subusers(&p);
  append(&p);
  add(&p.out, ".\n", (char *)0);
  if (allwrite(1, p.out.s, p.out.len) < p.out.len)
    strerr_diefusys(EXIT_TEMPORARY, "write standard output");
  return 0;
}
