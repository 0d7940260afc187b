/* failures.h - what failed logins cost those who come next
 *
 * Failures are counted for a login from a network, for a network, and for a login; each count loses
 * one in FAILURES_DRAIN_S. The answer to a failure is held back, for longer with each one. A login
 * from a network with FAILURES_PAIR of them, and a network with FAILURES_NETWORK, is refused without
 * asking anybody, for a while; but not a network for a login that has succeeded from there. For a login as
 * such nobody is ever refused: else whoever wants could lock its owner out. The same wrong password
 * again, as a forgotten telephone sends it, counts once where the password is known: of SCRAM, CRAM-MD5 and
 * APOP each failure counts.
 *
 * A network is an IPv4 address, or 64 bits of an IPv6 address. Times are milliseconds of clock_ms.
 */
#ifndef PIPIT_AUTH_FAILURES_H
#define PIPIT_AUTH_FAILURES_H

#include <stddef.h>
#include <stdint.h>

#define FAILURES_DRAIN_S  60
#define FAILURES_PAIR     10
#define FAILURES_NETWORK  50
#define FAILURES_OVER     10 /* that are counted above these at most, so that no wait is for long */
#define FAILURES_LOGIN    20 /* from where on a login's failures, wherever they come from, cost more */
#define FAILURES_HOLD_MAX 8  /* times control/authdelay that an answer is held back, at most */

#define FAILURES_ADDRESS      16 /* bytes of an address of IPv6 */
#define FAILURES_NETWORK_SIZE 8  /* bytes of its network, which for IPv4 is the address, of 4 */

struct failures_who {
  uint64_t pair, network, login; /* keys; network 0: it has none */
};

/* The network of the address <ip>, which is text: the first so many bytes of <out>, FAILURES_NETWORK_SIZE at
 * most; 0: it is no address. */
extern size_t failures_network(char out[FAILURES_ADDRESS], char const *ip);

/* The keys of login[0..len) from the address <ip>. */
extern void failures_who(struct failures_who *w, char const *ip, char const *login, size_t len);

/* For how many seconds is this one refused? 0: it may try. */
extern unsigned int failures_wait(struct failures_who const *w, uint64_t now);

/* It has failed, with secret[0..len) (0: not known). How many times control/authdelay the answer is
 * to be held back. */
extern unsigned int failures_add(struct failures_who const *w, char const *secret, size_t len,
                                 uint64_t now);

/* It has succeeded. */
extern void failures_clear(struct failures_who const *w, uint64_t now);

#endif
