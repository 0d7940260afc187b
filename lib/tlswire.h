/* tlswire.h - what the programs that speak SMTP and pipit-tlsd say to each other
 *
 * A SOCK_SEQPACKET connection for each session: to TLSWIRE_SOCKET where the peer is a TLS
 * client, to TLSWIRE_CLIENT_SOCKET where it is a TLS server.
 *   request   struct tlswire_request, with two sockets by SCM_RIGHTS: the peer's TCP connection, and
 *             a stream for the plain text; for a TLS server behind it TLSWIRE_STRINGS strings, each
 *             with a NUL behind it, in the order below
 *   answer    G; or E and why there is no session; or P and why: TLS of this server has failed lately,
 *             and the level is TLSWIRE_MAY. With E and P the TCP socket was not touched
 *   begin     B: the handshake may begin (with STARTTLS, there was a 220); or, of a TLS server,
 *             R: it has refused
 *   result    K and TLSWIRE_FACTS strings, each with a NUL behind it: protocol, cipher, and of a
 *             client the name that it asked for and the subject of its certificate, of a server
 *             what was verified and why not; the last two may be empty. Or E and why: the
 *             connection is lost, and that was the peer. The end without either: it was not
 *   blame     E and why, of a TLS server: after K not a byte came from it, and it has ended the session
 *   next      I, of a TLS client: its session is over in good order, and there may be another request, for whoever
 *             may see the one before, if it comes soon; never later than TLSWIRE_AGAIN_MS behind the first
 * From the answer on this is the affair of pipit-tlsd's process for the session; until
 * the result it gives up when the connection ends. The plain text ends when one of
 * the two TLS peers is gone.
 */
#ifndef PIPIT_TLSWIRE_H
#define PIPIT_TLSWIRE_H

#include <stdint.h>

#define TLSWIRE_SOCKET        "run/tls"
#define TLSWIRE_CLIENT_SOCKET "run/tlsc"

#define TLSWIRE_GO      'G'
#define TLSWIRE_FAILED  'E'
#define TLSWIRE_PLAIN   'P'
#define TLSWIRE_BEGIN   'B'
#define TLSWIRE_REFUSED 'R'
#define TLSWIRE_OK      'K'
#define TLSWIRE_IDLE    'I'
#define TLSWIRE_FACTS   4
#define TLSWIRE_MAX     2048 /* bytes of a packet */

#define TLSWIRE_AGAIN_MS 1000

#define TLSWIRE_SERVER 'S' /* the other side is the TLS client */
#define TLSWIRE_CLIENT 'C' /* the other side is the TLS server */

/* What is asked of a TLS server. */
#define TLSWIRE_MAY     'm' /* any certificate; what is known of it is told */
#define TLSWIRE_ENCRYPT 'e' /* the same; no failure is remembered, nor minded */
#define TLSWIRE_VERIFY  'v' /* its certificate has to hold, or else there is no session */

/* The strings of a request to a TLS server; all but the first may be empty. */
enum {
  TLSWIRE_PEER,   /* what failures are remembered by */
  TLSWIRE_HOST,   /* its name, to tell it (RFC 6066, 3) */
  TLSWIRE_MATCH,  /* names, with commas, one of which its certificate has to have: "host", ".domain" for
                   * any host below it, "[address]" */
  TLSWIRE_PRINTS, /* fingerprints, with commas: SHA-256 of the certificate or of its public key, in
                   * lower case; then neither names nor CA count */
  TLSWIRE_CA,     /* NAME of control/serverca/NAME.pem; "": the CAs for all */
  TLSWIRE_STRINGS
};

/* What was verified. */
#define TLSWIRE_VERIFIED "yes"
#define TLSWIRE_PRINTED  "fingerprint"
#define TLSWIRE_NOT      "no"

struct tlswire_request {
  char role;
  char level; /* for a TLS server */
  char unused[2];
  uint32_t limit_ms; /* for the handshake */
};

#endif
