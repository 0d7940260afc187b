/* open.h - addresses that have just logged in to POP or IMAP: control/relayopentime, relayopenusers
 *
 * Of an IPv6 address it is the network that counts (failures.h): one customer has all of it, and could fill
 * every place with addresses of his own.
 */
#ifndef PIPIT_AUTH_OPEN_H
#define PIPIT_AUTH_OPEN_H

#include <stdint.h>
#include <sys/types.h>

#define OPEN_MAX     4096 /* networks */
#define OPEN_PER_UID 64   /* of one uid that is not root's or ours */

/* Read the control files anew. 1, or 0 with control_why(). */
extern int open_load(void);
/* Seconds that an address stays open; 0: none is. */
extern unsigned long open_time(void);

/* May <uid> open addresses? */
extern int open_is_permitted(uid_t uid);

/* Open the address, as text; <limited>: only so many by this uid. 1; 0: it is no address, or one too
 * many; of a full table there is a line on stderr, but not one for each. */
extern int open_add(char const *ip, uid_t uid, int limited, uint64_t now);
extern int open_has(char const *ip, uint64_t now);

#endif
