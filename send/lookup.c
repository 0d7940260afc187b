/* lookup.c - who gets the mail for a local part; see lspawn.h
 *
 * First users/cdb, then the password database, then the alias account. Every
 * doubt is a temporary failure: a mail user must never look like no user.
 */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <skalibs/strerr.h>

#include "getpw.h"
#include "home.h"
#include "lspawn.h"
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

static enum lspawn_exit find_alias(struct lspawn const *l, char const *local, size_t len,
                                   struct mailuser *u)
{
  char home[PATH_MAX];
  uid_t uid = l->accounts.uid[ACCOUNT_ALIAS];
  gid_t gid = l->accounts.gid[ACCOUNT_ALIAS];
  char const *user = l->accounts.separated ? account_name(ACCOUNT_ALIAS) : "alias";
  if ((size_t)snprintf(home, sizeof home, "%s/alias", l->home) >= sizeof home)
    return LSPAWN_NOALIAS;
  return mailuser_set(u, uid, gid, user, home, "-", local, len) ? LSPAWN_OK : LSPAWN_NOMEM;
}

enum lspawn_exit lspawn_lookup(struct lspawn const *l, char const *local, size_t len,
                               struct mailuser *u)
{
  int r = usersdb_find(home_fd(), "users/cdb", local, len, l->stamp, u);
  if (r == -1) return (strerr_warnwusys("read users/cdb"), LSPAWN_CDB);
  if (r == 1 && l->accounts.separated) return LSPAWN_OK;
  if (r == 1 && u->uid == l->accounts.uid[ACCOUNT_ALIAS]) {
    r = is_below(l->home, u->home);
    if (r == -1) return (strerr_warnwusys("find the home ", u->home), LSPAWN_NFS);
    if (r == 1) return LSPAWN_OK;
  }
  if (l->accounts.separated) {
    r = getpw_find(local, len, u);
    if (r == -1) return (strerr_warnwusys("look up a user"), LSPAWN_GETPW);
    if (r == 1) return LSPAWN_OK;
  }
  return find_alias(l, local, len, u);
}
