/* getpw.c - print who gets mail for a local address by the password database; qmail-getpw's
 * interface
 *
 * usage: pipit-getpw local
 *
 * Prints user, uid, gid, home, dash and ext, each with a NUL behind it: of the user, or of the
 * alias account where there is no such user. users/cdb, which comes first, is not asked here.
 *
 * exit: 0 printed; 100 wrong usage; 111 it cannot be told now.
 */

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <skalibs/buffer.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "accounts.h"
#include "admin.h"
#include "getpw.h"
#include "home.h"
#include "program.h"

#define USAGE "pipit-getpw local"

static void put(char const *s)
{
  if (buffer_put(buffer_1, s, strlen(s) + 1) == -1)
    strerr_diefusys(EXIT_TEMPORARY, "write to standard output");
}

static void put_id(unsigned long id)
{
  char fmt[ULONG_FMT];
  fmt[ulong_fmt(fmt, id)] = 0;
  put(fmt);
}

static void put_user(struct mailuser const *u)
{
  put(u->user);
  put_id(u->uid);
  put_id(u->gid);
  put(u->home);
  put(u->dash);
  put(u->ext);
}

/* The alias account gets the mail of nobody else. */
static void set_alias(struct mailuser *u, struct accounts const *a, char const *local)
{
  static char home[PATH_MAX];
  if ((size_t)snprintf(home, sizeof home, "%s/alias", home_dir()) >= sizeof home)
    strerr_dief(EXIT_TEMPORARY, home_dir(), ": too long a path");
  u->user = a->separated ? account_name(ACCOUNT_ALIAS) : "alias";
  u->uid = a->uid[ACCOUNT_ALIAS];
  u->gid = a->gid[ACCOUNT_ALIAS];
  u->home = home;
  u->dash = "-";
  u->ext = local;
}

int getpw_main(int argc, char const *const *argv)
{
  struct accounts a;
  struct mailuser u = MAILUSER_ZERO;
  if (argc != 2) strerr_dieusage(EXIT_PERMANENT, USAGE);
  if (!accounts_load(&a)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  /* An instance with one account delivers to no other user. */
  int r = a.separated ? getpw_find(argv[1], strlen(argv[1]), &u) : 0;
  if (r == -1) strerr_diefusys(EXIT_TEMPORARY, "look up a user");
  if (!r) set_alias(&u, &a, argv[1]);
  put_user(&u);
  if (!buffer_flush(buffer_1)) strerr_diefusys(EXIT_TEMPORARY, "write to standard output");
  return 0;
}
