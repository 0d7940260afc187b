/* rewrite.h - where a recipient's mail goes: qmail-send's rewriting
 *
 * An address without '@' gets @envnoathost; user%fqdn@host becomes user@fqdn
 * while host is in percenthack; a domain in locals is local; virtualdomains is
 * asked for user@domain, domain, .parent, ..., and the empty key: prepend-address
 * is local, an empty value means remote; anything else is remote.
 */
#ifndef PIPIT_REWRITE_H
#define PIPIT_REWRITE_H

#include <stddef.h>

#include <skalibs/stralloc.h>

#include "address.h"
#include "map.h"

enum channel { CHANNEL_LOCAL, CHANNEL_REMOTE, CHANNELS };

struct rewrite {
  struct map locals;
  struct map vdoms;
  struct map percenthack;
  stralloc envnoathost;
};
#define REWRITE_ZERO                                                                                \
  { .locals = MAP_ZERO, .vdoms = MAP_ZERO, .percenthack = MAP_ZERO, .envnoathost = STRALLOC_ZERO }

/* Read locals, virtualdomains, percenthack and envnoathost. Replaces what <r>
 * held, only when all of them could be read. 1, or 0 and control_why(). */
extern int rewrite_load(struct rewrite *r);

/* Append the rewritten address to <out>, without NUL. The channel, or -1 with ENOMEM. */
extern int rewrite_address(struct rewrite const *r, char const *addr, size_t len, stralloc *out);

/* Append the sender for <rcpt>, with its NUL: prefixbox=host@host for an
 * expanded one, else as it is. 1, or 0 with ENOMEM. */
extern int verp_sender(stralloc *out, char const *sender, size_t len, char const *rcpt,
                       size_t rlen);

#endif
