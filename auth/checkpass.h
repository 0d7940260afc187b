/* checkpass.h - what pipit-checkpass knows of who logs in */
#ifndef PIPIT_AUTH_CHECKPASS_H
#define PIPIT_AUTH_CHECKPASS_H

#include "accounts.h"
#include "authwire.h"
#include "mailboxes.h"
#include "passwd.h"

struct checkpass {
  char login[AUTHWIRE_LOGIN_MAX + 1];
  struct passwd_entry entry; /* or, of a system user: */
  int is_system;
  uid_t uid;
  gid_t gid;
  char const *home, *shell;
  char const *maildir; /* relative to the home, or NULL */
  struct mailbox mailbox;
};
#define CHECKPASS_ZERO                                                                             \
  {                                                                                                \
    .entry = PASSWD_ZERO, .mailbox = MAILBOX_ZERO                                                  \
  }

/* Speak SCRAM on the socket, which is closed afterwards: 1 and c->login, c->entry; 0 refused; -1
 * with errno: it is the logins' file. The other side was told, and before the challenge whose login it
 * is. Exits after any other trouble. */
extern int checkpass_scram(struct checkpass *c, int sock);

/* The same with a process that reads messages at the other end of <reader>. -1 with errno and <*trouble>:
 * what could not be done, checkpass_lost where that process has gone, NULL where it is the logins' file. */
extern int checkpass_judge(struct checkpass *c, int sock, int reader, char const **trouble);
extern char const checkpass_lost[];

/* Ask PAM: 1 and the user; 0 refused, as root always is; -1 after a line on stderr. */
extern int checkpass_pam(struct checkpass *c, char const *login, char const *password);

/* Look the instance's accounts up, or exit. */
extern void checkpass_accounts(struct accounts *a);

/* Become the user, with his groups, in his home. Exits where that is not possible. */
extern void checkpass_become(struct checkpass *c);

#endif
