/* senders.h - which sender addresses a login may use: control/senders
 *
 * Lines login:patterns, with spaces or commas between them; "*" is every login that has no line of
 * its own, and several lines of one login add up. A pattern is an address, in which "*" stands for
 * any bytes; @domain, all addresses of that domain; @.domain, all of its subdomains;
 * "self", what a login without any line may use; or "any". Case does not count.
 *
 * Self is: of a login that is an address, this one; of another one, login@ and control/me or a
 * line of control/locals; each also with a tag (login+tag@domain).
 */
#ifndef PIPIT_SENDERS_H
#define PIPIT_SENDERS_H

#include <stddef.h>

#include <skalibs/stralloc.h>

struct senders {
  stralloc lines, me, locals;
};
#define SENDERS_ZERO                                                                               \
  { .lines = STRALLOC_ZERO, .me = STRALLOC_ZERO, .locals = STRALLOC_ZERO }

/* Read the control files; replaces <s> only on success. 1, or 0 with control_why(). */
extern int senders_load(struct senders *s);

/* May <login> use the address addr[0..len), as in an envelope (unquoted)? The empty one, which
 * notices have, is everybody's. 1 or 0. */
extern int senders_may(struct senders const *s, char const *login, char const *addr, size_t len);

extern void senders_free(struct senders *s);

#endif
