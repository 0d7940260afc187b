/* aliases.h - what a forwarding database says of an address: as fastforward reads it
 *
 * It is a cdb that newaliases or setforward wrote. The key ":target" leads to
 * instructions, each with a NUL behind it: "&recipient", "|program", "!program"
 * (which gets UFLINE, RPLINE and DTLINE before the message), "/file" or "./file"
 * (a list of such instructions that setmaillist or newinclude made). The key
 * "?target" leads to the address that gets the bounces. A target is user@host,
 * @host (anybody there) or user@ (him anywhere), in lower case.
 */
#ifndef PIPIT_ALIASES_H
#define PIPIT_ALIASES_H

#include <stddef.h>

#include <skalibs/stralloc.h>

#include "cdbmap.h"

#define ALIASES_ADDRESS_MAX 800 /* bytes of a recipient, as in fastforward */

enum aliases_kind { ALIASES_INSTRUCTIONS = ':', ALIASES_OWNER = '?' };

/* Append what <db> has of <kind> for the target addr[0..len), and with <wild> else for
 * its @host, else for its user@. 1 found, 0 not, -1 with errno as cdbmap_get. */
extern int aliases_find(struct cdbmap *db, enum aliases_kind kind, char const *addr, size_t len,
                        int wild, stralloc *value);

/* Does fastforward know what to do with mail for this recipient? 1, 0, or -1 with errno.
 * A cdb that is damaged may say 0 of one that is there: see cdbmap_verify. */
extern int aliases_exists(struct cdbmap *db, char const *addr, size_t len);

/* The instruction at <*pos> of s[0..len), and move <*pos> behind it and its NUL. 1; 0 at
 * the end; -1 with errno EPROTO when that is none. */
extern int aliases_next(char const *s, size_t len, size_t *pos, char const **instruction);

#endif
