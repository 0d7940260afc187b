/* session.h - begin and end a session (RFC 5321, 4.1.1.1; 3207; 2033, 4.1; 1870, 2920, 6152) */
#ifndef PIPIT_REMOTE_SESSION_H
#define PIPIT_REMOTE_SESSION_H

#include "conn.h"
#include "outcome.h"
#include "settings.h"
#include "tls.h"

enum session_result {
  SESSION_FAILED, /* this server is no use: the message's verdict is in <o>, and the connection closed */
  SESSION_READY,  /* for MAIL; c's offers are filled in */
  SESSION_AGAIN   /* its TLS has failed: the connection is closed, a new one may do without */
};

/* Wait for the greeting, say EHLO, or HELO where that is not known; to an LMTP server LHLO; have TLS
 * as it is needed. */
extern enum session_result session_begin(struct conn *c, struct settings const *s,
                                         struct tls_need *n, struct outcome *o);

/* QUIT, and wait a moment for the answer, so that nothing the server still
 * sends meets a closed port. Closes the connection; does nothing without one. */
extern void session_end(struct conn *c);

/* Set the message's verdict for a connection that broke: 'Z', or for an early
 * refusal (CONN_EARLY with 5yz) 'D'. <after_end>: the end of the data was sent,
 * the message may have been taken. */
extern void session_broke(struct conn const *c, enum conn_status s, int after_end,
                          struct outcome *o);

#endif
