/* finduser.c - who gets the mail for a local address; see finduser.h */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skalibs/strerr.h>

#include "address.h"
#include "finduser.h"
#include "home.h"
#include "mailboxes.h"
#include "usersdb.h"

#define MAILBOXES "users/mailboxes.cdb"
#define USERS     "users/cdb"

/* In an instance with one account: is the user's home a folder below the
 * instance? 1, 0, or -1 with errno. */
static int is_below(char const *home, char const *dir)
{
  char path[PATH_MAX];
  size_t len = strlen(home);
  if (!realpath(dir, path)) return -1;
  return !strncmp(path, home, len) && (!path[len] || path[len] == '/');
}

/* May mail be delivered as <uid> in <home>? FINDUSER_OK, FINDUSER_NONE for no, or FINDUSER_HOME. */
static enum finduser is_heeded(struct finduser_source const *s, uid_t uid, char const *home)
{
  if (s->accounts->separated) return FINDUSER_OK;
  if (uid != s->accounts->uid[ACCOUNT_ALIAS]) return FINDUSER_NONE;
  int r = is_below(s->home, home);
  if (r == -1) return (strerr_warnwusys("find the home ", home), FINDUSER_HOME);
  return r ? FINDUSER_OK : FINDUSER_NONE;
}

/* Set <u> to the alias account; with <delivery>, for that, else for its dot-qmail files. */
static enum finduser set_alias(struct finduser_source const *s, char const *local, size_t len,
                               char const *delivery, struct mailuser *u)
{
  char home[PATH_MAX];
  uid_t uid = s->accounts->uid[ACCOUNT_ALIAS];
  gid_t gid = s->accounts->gid[ACCOUNT_ALIAS];
  char const *user = s->accounts->separated ? account_name(ACCOUNT_ALIAS) : "alias";
  if ((size_t)snprintf(home, sizeof home, "%s/alias", s->home) >= sizeof home)
    return FINDUSER_ALIAS;
  int ok = delivery ? mailuser_set_delivery(u, uid, gid, user, home, delivery, "")
                    : mailuser_set(u, uid, gid, user, home, "-", local, len);
  return ok ? FINDUSER_OK : FINDUSER_MEMORY;
}

static enum finduser set_mailbox(struct finduser_source const *s, struct mailbox const *m,
                                 struct mailuser *u)
{
  if (m->forward) return set_alias(s, 0, 0, m->delivery, u);
  enum finduser r = is_heeded(s, m->uid, m->home);
  if (r == FINDUSER_NONE) {
    strerr_warnw("users/mailboxes: ", m->home,
                 " does not lie below this instance, or has another account");
    return FINDUSER_MAILBOXES;
  }
  if (r != FINDUSER_OK) return r;
  return mailuser_set_delivery(u, m->uid, m->gid, m->user, m->home, m->delivery, m->quota)
             ? FINDUSER_OK
             : FINDUSER_MEMORY;
}

/* Look into users/mailboxes.cdb. 1 when that has answered, with <*r>. */
static int find_mailbox(struct finduser_source const *s, char const *addr, size_t len,
                        struct mailuser *u, enum finduser *r)
{
  struct mailbox m = MAILBOX_ZERO;
  *r = FINDUSER_NONE;
  int found = mailboxes_find(home_fd(), MAILBOXES, addr, len, &s->stamps->mailboxes, &m);
  if (found == -1) {
    strerr_warnwusys("read " MAILBOXES);
    *r = FINDUSER_MAILBOXES;
  } else if (found == MAILBOXES_FOUND) {
    *r = set_mailbox(s, &m, u);
  }
  stralloc_free(&m.text);
  return found != MAILBOXES_ELSEWHERE;
}

/* Look for a user by the local part. */
static enum finduser find_local(struct finduser_source const *s, char const *local, size_t len,
                                struct mailuser *u)
{
  int r = usersdb_find(home_fd(), USERS, local, len, &s->stamps->users, u);
  if (r == -1) return (strerr_warnwusys("read " USERS), FINDUSER_CDB);
  enum finduser heeded = r == 1 ? is_heeded(s, u->uid, u->home) : FINDUSER_NONE;
  if (heeded != FINDUSER_NONE) return heeded;
  if (s->accounts->separated) {
    r = s->getpw(local, len, u);
    if (r == -1) return (strerr_warnwusys("look up a user"), FINDUSER_GETPW);
    if (r == 2) return FINDUSER_ASKED;
    if (r == 1) return FINDUSER_OK;
  }
  return set_alias(s, local, len, 0, u);
}

enum finduser finduser(struct finduser_source const *s, char const *addr, size_t len,
                       struct mailuser *u)
{
  enum finduser r;
  if (find_mailbox(s, addr, len, u, &r)) return r;
  return find_local(s, addr, address_at(addr, len), u);
}

static int look(char const *path, struct cdbmap_stamp *stamp)
{
  struct stat st;
  memset(stamp, 0, sizeof *stamp);
  if (fstatat(home_fd(), path, &st, 0) == -1) return errno == ENOENT;
  cdbmap_stamp_set(stamp, &st);
  return 1;
}

int finduser_look(struct finduser_stamps *now)
{
  int mailboxes = look(MAILBOXES, &now->mailboxes);
  return look(USERS, &now->users) && mailboxes;
}
