/* tcprules.h - the rules that tcprules(1) compiles for tcpserver
 *
 * The first of these keys that is in the file decides, as in tcpserver:
 * info@ip, info@=host, ip, =host, shorter and shorter prefixes of ip that end
 * with '.' (IPv6: ':'), shorter and shorter suffixes of host that begin with
 * '.', after '='; "=" when there is a host; the empty key. Before the
 * prefixes, networks as network/bits are looked for, the longest first.
 */
#ifndef PIPIT_TCPRULES_H
#define PIPIT_TCPRULES_H

#include <stddef.h>

#include <skalibs/stralloc.h>

struct cdbmap;

/* Find the rule for a client. <ip> is text as inet_ntop writes it; <host> and
 * <info> are NULL when unknown. <networks>: look for networks too, which takes
 * up to 127 lookups; 0 when the file is known to have none. 1 and the rule's instructions in <rule>; 0
 * when no rule matches (tcpserver then lets the client in); -1 with errno
 * (EPROTO: the file is damaged, ENOMEM). */
extern int tcprules_find(struct cdbmap *map, char const *ip, char const *host, char const *info,
                         int networks, stralloc *rule);

/* Walk through instructions: 1 and <*var> set to "NAME=value" (points into
 * <rule>, NUL-terminated), 2 for "deny", 0 at the end, -1 for what is neither.
 * Begin with <*pos> 0. */
extern int tcprules_next(stralloc const *rule, size_t *pos, char const **var);

/* What the instructions set <name> to (points into <rule>), or NULL. */
extern char const *tcprules_value(stralloc const *rule, char const *name);

#endif
