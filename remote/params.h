/* params.h - the parameters of MAIL and RCPT for a server that offers DSN (RFC 3461, 5.2.1)
 *
 * Extras are those of lib/job.h. What does not hold in them is left out: the queue
 * takes any value from a local user, and none may become another command.
 */
#ifndef PIPIT_REMOTE_PARAMS_H
#define PIPIT_REMOTE_PARAMS_H

#include <stddef.h>

#include <skalibs/stralloc.h>

/* Append " RET=..." and " ENVID=..." as far as the message has them. 1, or 0 with ENOMEM. */
extern int params_mail(stralloc *out, char const *extras, size_t len);

/* Append " NOTIFY=..." if the recipient has one, and " ORCPT=...": its own, or one made of
 * the address <rcpt> where that can be written so. 1, or 0 with ENOMEM. */
extern int params_rcpt(stralloc *out, char const *extras, size_t len, char const *rcpt);

#endif
