/* mailbox-put.h - lines of users/mailboxes as records of users/mailboxes.cdb: lib/mailboxes.h */
#ifndef PIPIT_MAILBOX_PUT_H
#define PIPIT_MAILBOX_PUT_H

#include "cdbwrite.h"
#include "mailbox-line.h"

/* Put a line with '=', '&' or '+' into the file; <*fresh>: it is the first one with its
 * domain. NULL, or what is wrong with it. */
extern char const *mailbox_put(struct cdbwrite *w, struct mailbox_line const *l, int *fresh);

/* Is mail for <local>@<domain> taken, by what was put so far: has it a line, or have all others
 * of the domain one? Where that cannot be told, yes. */
extern int mailbox_put_takes(struct cdbwrite *w, char const *local, char const *domain);

/* Put what makes the file complete. 1, or 0 with errno. */
extern int mailbox_put_end(struct cdbwrite *w);

#endif
