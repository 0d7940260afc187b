/* complete.h - complete the addresses that people leave short (qmail-header(5))
 *
 * An address without '@' gets @defaulthost; a domain without a dot .defaultdomain;
 * one that ends in '+' .plusdomain in place of that. x@[] stays as it is.
 */
#ifndef PIPIT_COMPLETE_H
#define PIPIT_COMPLETE_H

#include <stddef.h>

#include <skalibs/stralloc.h>

struct complete {
  stralloc defaulthost, defaultdomain, plusdomain;
};
#define COMPLETE_ZERO                                                                              \
  { .defaulthost = STRALLOC_ZERO, .defaultdomain = STRALLOC_ZERO, .plusdomain = STRALLOC_ZERO }

/* Set <sa> to the value of the environment's <variable>, else of the control file <file>, else of
 * control/me. 0; or, with <*why> (static storage), EXIT_PERMANENT for a variable that no address
 * can have in it, EXIT_TEMPORARY for such a file or one that cannot be read. */
extern int complete_domain(stralloc *sa, char const *file, char const *variable, char const **why);

/* Do so for all three. The same results. */
extern int complete_load(struct complete *c, char const **why);

/* Append to <out> what the address s[0..len) lacks behind it; its '@' is at <at>, or <at> is
 * <len>. Where complete_has_plus, its last byte goes. 1, or 0 with ENOMEM. */
extern int complete_missing(struct complete const *c, stralloc *out, char const *s, size_t len,
                            size_t at);
extern int complete_has_plus(char const *s, size_t len, size_t at);

/* Complete the raw address <addr> (local@domain, without quoting). "" stays. 1, or 0 with ENOMEM. */
extern int complete_address(struct complete const *c, stralloc *addr);

#endif
