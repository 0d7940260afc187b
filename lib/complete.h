/* complete.h - complete the addresses that people leave short (qmail-header(5)), and rewrite hosts
 * (mess822's rewriting(5))
 *
 * Instructions look at the host of an address, one after the other, each at what the one before
 * made of it. An address without '@' has the host "".
 *   =post:new   a host that is post becomes new
 *   *post:new   one that ends with post gets new in its place
 *   ?post:new   the same, if what stands before it is not empty and has none of . / [ ]
 *   -post:new   a host that ends with post becomes new
 * Letters are alike in any case. Where nobody gives instructions they are made of defaulthost,
 * defaultdomain and plusdomain: "=:defaulthost", "*+:.plusdomain", "?:.defaultdomain".
 */
#ifndef PIPIT_COMPLETE_H
#define PIPIT_COMPLETE_H

#include <stddef.h>

#include <skalibs/stralloc.h>

struct complete {
  stralloc rules; /* instructions, each with its NUL */
};
#define COMPLETE_ZERO { .rules = STRALLOC_ZERO }

/* Set <sa> to the value of the environment's <variable>, else of the control file <file>, else of
 * control/me. 0; or, with <*why> (static storage), EXIT_PERMANENT for a variable that no address
 * can have in it, EXIT_TEMPORARY for such a file or one that cannot be read. */
extern int complete_domain(stralloc *sa, char const *file, char const *variable, char const **why);

/* Make the instructions of those three. The same results. */
extern int complete_load(struct complete *c, char const **why);

/* The same, but the file that QMAILREWRITEFILE names, else control/rewrite, goes first. */
extern int complete_load_rewrite(struct complete *c, char const **why);

/* Set <out> to what becomes of the host s[0..len). 1, or 0 with ENOMEM. */
extern int complete_host(struct complete const *c, stralloc *out, char const *s, size_t len);

/* Complete the raw address <addr> (local@domain, without quoting). "" stays. 1, or 0 with ENOMEM. */
extern int complete_address(struct complete const *c, stralloc *addr);

extern void complete_free(struct complete *c);

#endif
