/* auth.h - log in at a relay (RFC 4954), with what pipit-authc says (lib/authcwire.h) */
#ifndef PIPIT_REMOTE_AUTH_H
#define PIPIT_REMOTE_AUTH_H

#include <stddef.h>

#include "conn.h"
#include "outcome.h"
#include "route.h"
#include "settings.h"

enum auth_result {
  AUTH_OK,   /* logged in, or there is nothing to log in for */
  AUTH_NEXT, /* the message's verdict is in <o>, the connection closed; another address may do better */
  AUTH_STOP  /* the same, but none would: it is not asked, so that no login is locked */
};

/* Mechanisms (authcwire.h) in s[0..len), what stands behind the keyword AUTH in an offer. */
extern int auth_mechanisms(char const *s, size_t len);

/* Log in as the route says. A login that is refused, or that something is missing for, is the
 * administrator's to mend: the mail waits, and a line on stderr names the file. */
extern enum auth_result auth_login(struct conn *c, struct route const *r, struct settings const *s,
                                   struct outcome *o);

#endif
