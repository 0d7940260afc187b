/* checkpass.h - what pipit-checkpass knows of who logs in */
#ifndef PIPIT_AUTH_CHECKPASS_H
#define PIPIT_AUTH_CHECKPASS_H

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
 * with errno. The other side was told. */
extern int checkpass_scram(struct checkpass *c, int sock);

/* Ask PAM: 1 and the user; 0 refused; -1 after a line on stderr. */
extern int checkpass_pam(struct checkpass *c, char const *login, char const *password);

/* Become the user, with his groups, in his home. Exits where that is not possible. */
extern void checkpass_become(struct checkpass *c);

#endif
