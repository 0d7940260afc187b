/* accounts.h - the uids and gids that an instance runs under
 *
 * A privilege-separated instance has queue/ owned by the account pipitq; its
 * accounts are looked up by name (conf-users) when a program starts. Any other
 * instance has one account, the owner of its queue/: every role below is that
 * account, and nobody can change user.
 */
#ifndef PIPIT_ACCOUNTS_H
#define PIPIT_ACCOUNTS_H

#include <sys/types.h>

enum account { /* in the order of conf-users */
  ACCOUNT_ALIAS,
  ACCOUNT_SMTPD,
  ACCOUNT_LOG,
  ACCOUNT_QUEUE,
  ACCOUNT_REMOTE,
  ACCOUNT_SEND,
  ACCOUNT_TLSSERVER,
  ACCOUNT_TLSCLIENT,
  ACCOUNT_POLICY,
  ACCOUNT_RCPT,
  ACCOUNT_CREDENTIALS,
  ACCOUNT_COUNT
};

struct accounts {
  int separated; /* 1: one account for each role; 0: one account for all */
  uid_t uid[ACCOUNT_COUNT];
  gid_t gid[ACCOUNT_COUNT];
};

/* Fill in <a> for the instance at home_dir(). 1, or 0 with errno and
 * accounts_why(): no home, no queue/, an account missing or not to be looked
 * up. Every failure is a temporary one to the caller. */
extern int accounts_load(struct accounts *a);

/* Become the account: if root in a separated instance, drop to it for good (no
 * supplementary groups); if it already, do nothing. 1, or 0 with errno and
 * accounts_why(). Root never stays root: in a one-account instance it drops to
 * that account. */
extern int accounts_become(struct accounts const *a, enum account which);

extern char const *account_name(enum account which);
extern char const *accounts_why(void);

#endif
