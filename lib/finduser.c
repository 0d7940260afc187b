/* finduser.c - who gets the mail for a local address; see finduser.h */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skalibs/strerr.h>

#include "finduser.h"
#include "home.h"
#include "usersdb.h"

/* In an instance with one account: is the user's home a folder below the
 * instance? 1, 0, or -1 with errno. */
static int is_below(char const *home, char const *dir)
{
  char path[PATH_MAX];
  size_t len = strlen(home);
  if (!realpath(dir, path)) return -1;
  return !strncmp(path, home, len) && (!path[len] || path[len] == '/');
}

enum finduser finduser_alias(struct finduser_source const *s, char const *local, size_t len,
                             struct mailuser *u)
{
  char home[PATH_MAX];
  uid_t uid = s->accounts->uid[ACCOUNT_ALIAS];
  gid_t gid = s->accounts->gid[ACCOUNT_ALIAS];
  char const *user = s->accounts->separated ? account_name(ACCOUNT_ALIAS) : "alias";
  if ((size_t)snprintf(home, sizeof home, "%s/alias", s->home) >= sizeof home)
    return FINDUSER_ALIAS;
  return mailuser_set(u, uid, gid, user, home, "-", local, len) ? FINDUSER_OK : FINDUSER_MEMORY;
}

enum finduser finduser(struct finduser_source const *s, char const *local, size_t len,
                       struct mailuser *u)
{
  int r = usersdb_find(home_fd(), "users/cdb", local, len, s->stamp, u);
  if (r == -1) return (strerr_warnwusys("read users/cdb"), FINDUSER_CDB);
  if (r == 1 && s->accounts->separated) return FINDUSER_OK;
  if (r == 1 && u->uid == s->accounts->uid[ACCOUNT_ALIAS]) {
    r = is_below(s->home, u->home);
    if (r == -1) return (strerr_warnwusys("find the home ", u->home), FINDUSER_HOME);
    if (r == 1) return FINDUSER_OK;
  }
  if (s->accounts->separated) {
    r = s->getpw(local, len, u);
    if (r == -1) return (strerr_warnwusys("look up a user"), FINDUSER_GETPW);
    if (r == 1) return FINDUSER_OK;
  }
  return finduser_alias(s, local, len, u);
}
