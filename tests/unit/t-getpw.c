/* t-getpw.c - qmail-getpw's rules, with a password database of the test's own */

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "getpw.h"

static char home[4096];
static int trouble;     /* the code that the database answers with, when not 0 */
static size_t need;     /* bytes of an entry */
static int interrupted; /* that many calls fail with EINTR first */

static struct passwd const users[] = {
    {.pw_name = (char *)"joe", .pw_uid = 0, .pw_gid = 7, .pw_dir = home}, /* uid is set in main */
    {.pw_name = (char *)"joe-x", .pw_uid = 0, .pw_gid = 8, .pw_dir = home},
    {.pw_name = (char *)"alien", .pw_uid = 1, .pw_gid = 1, .pw_dir = home},
    {.pw_name = (char *)"homeless", .pw_uid = 1, .pw_gid = 1, .pw_dir = (char *)"/nonexistent/x"},
    {.pw_name = (char *)"filed", .pw_uid = 1, .pw_gid = 1, .pw_dir = (char *)"/dev/null/x"},
    {.pw_name = (char *)"loop", .pw_uid = 1, .pw_gid = 1, .pw_dir = home},
    {.pw_name = (char *)"relative", .pw_uid = 1, .pw_gid = 1, .pw_dir = (char *)"."},
    {.pw_name = (char *)"root", .pw_uid = 0, .pw_gid = 0, .pw_dir = (char *)"/"},
    {.pw_name = (char *)"a123456789b123456789c123456789d", .pw_gid = 9, .pw_dir = home},
    {.pw_name = (char *)"a123456789b123456789c123456789de", .pw_gid = 10, .pw_dir = home},
};
static uid_t me;
static char loop[4096];

/* Stands in for the one of the C library. */
int getpwnam_r(char const *name, struct passwd *pw, char *buf, size_t len, struct passwd **result)
{
  *result = 0;
  (void)buf;
  if (interrupted && interrupted--) return EINTR;
  if (trouble) return trouble;
  if (len < need) return ERANGE;
  for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
    if (strcmp(users[i].pw_name, name)) continue;
    *pw = users[i];
    if (users[i].pw_gid >= 7) pw->pw_uid = me;
    if (users[i].pw_uid == 1) pw->pw_uid = me + 1;
    if (!strcmp(name, "loop")) pw->pw_dir = loop;
    *result = pw;
  }
  return 0;
}

static struct find_case {
  char const *why, *local;
  int result;
  gid_t gid;
  char const *dash, *ext;
} const cases[] = {
    {"a user", "joe", 1, 7, "", ""},
    {"a user in capitals", "JOE", 1, 7, "", ""},
    {"an extension keeps its case", "Joe-Ab.C", 1, 7, "-", "Ab.C"},
    {"an empty extension", "joe-", 1, 7, "-", ""},
    {"the longest name", "joe-x", 1, 8, "", ""},
    {"the longest name with an extension", "joe-x-y", 1, 8, "-", "y"},
    {"a longer name that is none", "joe-xy", 1, 7, "-", "xy"},
    {"no user", "bob", 0, 0, "", ""},
    {"a name goes to its end or to a dash", "joey", 0, 0, "", ""},
    {"an address that begins with a dash", "-joe", 0, 0, "", ""},
    {"a home of somebody else", "alien", 0, 0, "", ""},
    {"no home", "homeless", 0, 0, "", ""},
    {"a home below a file", "filed", 0, 0, "", ""},
    {"a home that is no path", "relative", 0, 0, "", ""},
    {"root", "root", 0, 0, "", ""},
    {"a name of 31 bytes", "a123456789b123456789c123456789d", 1, 9, "", ""},
    {"a name of 31 bytes and an extension", "a123456789b123456789c123456789d-x", 1, 9, "-", "x"},
    {"a name of 32 bytes", "a123456789b123456789c123456789de", 0, 0, "", ""},
    {"a home that cannot be looked at", "loop", -1, 0, "", ""},
    {"and an extension of it", "loop-x", -1, 0, "", ""},
};

static int find(char const *local, struct mailuser *u)
{
  return getpw_find(local, strlen(local), u);
}

static void rules(void)
{
  struct mailuser u = MAILUSER_ZERO;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct find_case const *c = cases + i;
    int r = find(c->local, &u);
    check(r == c->result &&
              (r != 1 || (u.gid == c->gid && u.uid == me && !strcmp(u.dash, c->dash) &&
                          !strcmp(u.ext, c->ext) && !strcmp(u.home, home))),
          c->why);
  }
}

static void troubles(void)
{
  static int const codes[] = {ENOENT, ESRCH, EIO, EMFILE, ENOMEM, ECONNREFUSED, ETIMEDOUT, EAGAIN};
  struct mailuser u = MAILUSER_ZERO;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    char why[128];
    trouble = codes[i];
    snprintf(why, sizeof why, "a database that fails with %s is trouble, not a missing user",
             strerror(codes[i]));
    check(find("bob", &u) == -1 && errno == codes[i], why);
  }
  trouble = 0;
  need = 100000;
  check(find("joe", &u) == 1, "an entry of 100000 bytes is read");
  need = 10000000;
  check(find("joe", &u) == -1, "one of ten million is trouble");
  need = 0;
  interrupted = 3;
  check(find("joe", &u) == 1, "signals do no harm");
}

int main(void)
{
  char const *scratch = getenv("SCRATCH");
  if (!scratch || chdir(scratch) || !getcwd(home, sizeof home)) return 111;
  snprintf(loop, sizeof loop, "%.4000s/loop", home);
  if (symlink("loop", loop)) return 111;
  me = getuid();
  if (!me) { /* root owns no mailbox: the home is somebody's */
    me = 65534;
    if (chown(home, me, me)) return 111;
  }
  rules();
  troubles();
  return check_done();
}
