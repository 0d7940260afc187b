/* handed.h - clients that pipit-handover gives to pipit-smtpd -l -s */
#ifndef PIPIT_SMTPD_HANDED_H
#define PIPIT_SMTPD_HANDED_H

#include <skalibs/stralloc.h>

#include "worker.h"

#define HANDED_WAIT_MS 100 /* for a packet that is not there when its sender is */

/* Take the client that is given over the connection <front>: 1 and <g> is filled in,
 * g->fd is the caller's, and <rule> holds what the session may believe of the
 * environment that came along, as a tcprules file would say it. 0: there is none, or
 * it cannot be served here, for the reason handed_why(). */
extern int handed_take(int front, struct guest *g, stralloc *rule);
extern char const *handed_why(void);

/* Tell pipit-handover that it has to execute its program. */
extern void handed_refuse(int front);

#endif
