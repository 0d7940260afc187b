/* accounts.c - look up the accounts of an instance, and become one; see accounts.h */

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accounts.h"
#include "conf.h"
#include "home.h"
#include "priv.h"

static char const *const names[] = { CONF_USERS };
_Static_assert(sizeof names / sizeof *names == ACCOUNT_COUNT, "conf-users: wrong number of names");

static char why[512];

static int fail(char const *what, char const *detail)
{
  int e = errno;
  snprintf(why, sizeof why, "%s%s", what, detail);
  errno = e ? e : EINVAL;
  return 0;
}

char const *accounts_why(void)
{
  return why;
}

char const *account_name(enum account which)
{
  return names[which];
}

/* 1 found, 0 no such account, -1 cannot tell. */
static int look_up(enum account which, struct accounts *a)
{
  errno = 0;
  struct passwd *pw = getpwnam(names[which]);
  if (!pw) return errno && errno != ENOENT && errno != ESRCH ? -1 : 0;
  a->uid[which] = pw->pw_uid;
  a->gid[which] = pw->pw_gid;
  return 1;
}

static void one_account(struct accounts *a, struct stat const *queue)
{
  a->separated = 0;
  for (int i = 0; i < ACCOUNT_COUNT; i++) {
    a->uid[i] = queue->st_uid;
    a->gid[i] = queue->st_gid;
  }
}

int accounts_load(struct accounts *a)
{
  struct stat st;
  int home = home_fd();
  if (home == -1) return fail(home_dir(), ": no such instance; make it with pipit-setup");
  if (fstatat(home, "queue", &st, 0) == -1)
    return fail(home_dir(), "/queue: cannot be seen; make it with pipit-setup");
  int r = look_up(ACCOUNT_QUEUE, a);
  if (r == -1) return fail(names[ACCOUNT_QUEUE], ": the password database does not answer");
  if (!r || a->uid[ACCOUNT_QUEUE] != st.st_uid) {
    if (!st.st_uid)
      return (errno = EPERM, fail(home_dir(), "/queue: belongs to root; make it with pipit-setup"));
    one_account(a, &st);
    return 1;
  }
  a->separated = 1;
  for (int i = 0; i < ACCOUNT_COUNT; i++) {
    r = look_up((enum account)i, a);
    if (r == -1) return fail(names[i], ": the password database does not answer");
    if (!r) return (errno = ESRCH, fail(names[i], ": no such account; run make accounts"));
    if (!a->uid[i]) return (errno = EPERM, fail(names[i], ": has uid 0; it must have its own"));
  }
  return 1;
}

int accounts_become(struct accounts const *a, enum account which)
{
  if (geteuid() == a->uid[which] && getuid() == a->uid[which]) return 1;
  if (geteuid()) {
    errno = EPERM;
    return fail("start this as root or as ", a->separated ? names[which] : "the owner of queue/");
  }
  if (!priv_drop(a->uid[which], a->gid[which])) return fail("cannot become ", names[which]);
  return 1;
}
