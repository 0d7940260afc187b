/* recipient.h - is there such a recipient? What rules.c lets in is asked about here
 *
 * Three may know: control/validrcptto.cdb, which is the site's own list; pipit-rcptd, where
 * control/rcptcheck says so; and the program that RCPTCHECK in the environment names, which
 * has the last word. Whatever cannot be told is temporary.
 */
#ifndef PIPIT_SMTPD_RECIPIENT_H
#define PIPIT_SMTPD_RECIPIENT_H

#include <stddef.h>

#include "address.h"

#define RECIPIENT_MAX      (ADDRESS_MAX + 100) /* bytes of one, with what RELAYCLIENT appends */
#define RECIPIENT_TEXT_MAX 256

struct session;

struct recipient_answer {
  unsigned int code; /* 421: and the session ends */
  char status[16];
  char text[RECIPIENT_TEXT_MAX];
  int unknown;       /* refused because there is no such recipient */
};

/* Look for the recipient addr[0..len), as it goes into the envelope. 1; or 0 and <a>. */
extern int recipient_check(struct session const *s, char const *addr, size_t len,
                           struct recipient_answer *a);

/* Does RCPTCHECK name a program? Then sessions must be able to execute it. */
extern int recipient_runs_program(void);

/* For a listener, before its first session: what one child has found out about the list
 * serves the others. 1, or 0 with errno. */
extern int recipient_share(void);

/* --- between the modules */

enum known { KNOWN_YES, KNOWN_NO, KNOWN_TROUBLE, KNOWN_REMOTE, KNOWN_NOT_LISTED, KNOWN_NO_LIST };

/* recipient-list.c: KNOWN_YES, KNOWN_NO (a key with "-" says so), KNOWN_NOT_LISTED,
 * KNOWN_NO_LIST or KNOWN_TROUBLE. */
extern enum known recipient_in_list(char const *addr, size_t len);

/* recipient-rcptd.c: KNOWN_YES, KNOWN_REMOTE, KNOWN_NO or KNOWN_TROUBLE. */
extern enum known recipient_ask(char const *addr, size_t len);
/* Was pipit-rcptd asked by somebody whom its socket is closed to? */
extern int recipient_is_closed(void);

/* recipient-program.c: 1, or 0 and <a>. */
extern int recipient_run(struct session const *s, char const *addr, size_t len,
                         struct recipient_answer *a);

#endif
