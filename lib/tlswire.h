/* tlswire.h - what pipit-smtpd and pipit-tlsd say to each other over run/tls
 *
 * A SOCK_SEQPACKET connection for each session:
 *   request   struct tlswire_request, with the peer's TCP socket by SCM_RIGHTS
 *   answer    G, with a socket by SCM_RIGHTS on which the plain text will be; or
 *             E and why there is none: the TCP socket was not touched
 *   begin     B: the handshake may begin (with STARTTLS, the peer has its 220)
 *   result    K and TLSWIRE_FACTS strings, each with a NUL behind it: protocol, cipher,
 *             the name that the client asked for, the subject of its certificate; the last
 *             two may be empty. Or E and why: the connection is lost
 * From the answer on this is the affair of pipit-tlsd's process for the session; until
 * the result it gives up when the connection ends. The plain text ends when one of
 * the two TLS peers is gone.
 */
#ifndef PIPIT_TLSWIRE_H
#define PIPIT_TLSWIRE_H

#include <stdint.h>

#define TLSWIRE_SOCKET "run/tls"

#define TLSWIRE_GO      'G'
#define TLSWIRE_FAILED  'E'
#define TLSWIRE_BEGIN   'B'
#define TLSWIRE_OK      'K'
#define TLSWIRE_FACTS   4
#define TLSWIRE_MAX     1024 /* bytes of a packet */

#define TLSWIRE_SERVER 'S' /* the other side is the TLS client */

struct tlswire_request {
  char role;
  char unused[3];
  uint32_t limit_ms; /* for the handshake */
};

#endif
