/* authcwire.h - what pipit-remote and pipit-authc say to each other, over run/authc
 *
 * A SOCK_SEQPACKET connection for each login. pipit-remote:
 *   N mechanisms:1 name      log in with the credentials of this name (control/smtpcredentials)
 *   U mechanisms:1 user\0password   with these, which stood in a route
 *   C text                   what the server said after 334
 *   D                        it said 235
 * pipit-authc answers each of them:
 *   S line                   to N and U: the line to send, "AUTH ...", without its end
 *   R line                   to C: the same
 *   K                        to D: and it is the one who knows the password, where that can be told
 *   E text                   the login cannot go on: why. The connection is over
 * <mechanisms> are those that the server offers.
 */
#ifndef PIPIT_AUTHCWIRE_H
#define PIPIT_AUTHCWIRE_H

#define AUTHCWIRE_SOCKET "run/authc"
#define AUTHCWIRE_FILE   "smtpcredentials" /* in control/ */

/* Mechanisms, the strongest one is the greatest. */
#define AUTHCWIRE_LOGIN         1
#define AUTHCWIRE_PLAIN         2 /* RFC 4616 */
#define AUTHCWIRE_CRAM_MD5      4 /* RFC 2195 */
#define AUTHCWIRE_SCRAM_SHA_256 8 /* RFC 5802, 7677 */
#define AUTHCWIRE_NAMES { "LOGIN", "PLAIN", "CRAM-MD5", "SCRAM-SHA-256" }
#define AUTHCWIRE_COUNT 4

#define AUTHCWIRE_MAX     4200 /* bytes of a packet */
#define AUTHCWIRE_SECONDS 900  /* for a login */

#endif
