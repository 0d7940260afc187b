/* checkpass-become.c - from the login to the user; see checkpass.h */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/strerr.h>

#include "accounts.h"
#include "checkpass.h"
#include "home.h"
#include "priv.h"
#include "program.h"

#define SHELL "/bin/sh"

/* The mailbox that users/mailboxes has for the login. 1; 0 there is none. */
static int find_mailbox(struct checkpass *c)
{
  struct cdbmap_stamp stamp = { 0 };
  int r = mailboxes_find(home_fd(), "users/mailboxes.cdb", c->login, strlen(c->login), &stamp, &c->mailbox);
  if (r == -1) strerr_diefusys(EXIT_TEMPORARY, "read ", home_dir(), "/users/mailboxes.cdb");
  if (r != MAILBOXES_FOUND || c->mailbox.forward) return 0;
  c->uid = c->mailbox.uid;
  c->gid = c->mailbox.gid;
  c->home = c->mailbox.home;
  c->maildir = c->mailbox.delivery;
  return 1;
}

/* He can send, and owns nothing. */
static void be_sender(struct checkpass *c, struct accounts const *a)
{
  c->uid = a->uid[ACCOUNT_SMTPD];
  c->gid = a->gid[ACCOUNT_SMTPD];
  c->home = "/";
}

static void find_user(struct checkpass *c, struct accounts const *a)
{
  if (c->is_system) return;
  c->shell = *c->entry.shell ? c->entry.shell : SHELL;
  if (!c->entry.has_user) {
    if (!find_mailbox(c)) be_sender(c, a);
    return;
  }
  c->uid = c->entry.uid;
  c->gid = c->entry.gid;
  c->home = c->entry.home;
}

/* In an instance of one account nobody becomes another one. */
static void check_account(struct checkpass const *c, struct accounts const *a)
{
  if (geteuid() == c->uid && c->uid) return;
  char const *why = !c->uid || !c->gid              ? ": uid and gid 0 are not for logins"
                    : !a->separated || geteuid() ? " is of another account than mine"
                                                 : 0;
  if (why) strerr_dief(EXIT_TEMPORARY, "login ", c->login, why);
}

void checkpass_accounts(struct accounts *a)
{
  if (!accounts_load(a)) strerr_dief(EXIT_TEMPORARY, accounts_why());
}

void checkpass_become(struct checkpass *c)
{
  struct accounts a;
  checkpass_accounts(&a);
  find_user(c, &a);
  check_account(c, &a);
  if (geteuid() != c->uid &&
      !(c->is_system ? priv_drop_groups(c->login, c->uid, c->gid) : priv_drop(c->uid, c->gid)))
    strerr_diefusys(EXIT_TEMPORARY, "become the user of ", c->login);
  home_close();
  if (chdir(c->home) == -1) strerr_diefusys(EXIT_TEMPORARY, "change to ", c->home);
}
