/* tls.h - TLS with a server (RFC 3207; 8314 for TLS from connecting on), which pipit-tlsd speaks
 *
 * By the letter of RFC 3207: nothing that came before the handshake counts behind it, and whatever
 * stands behind the answer to STARTTLS is an attack.
 */
#ifndef PIPIT_REMOTE_TLS_H
#define PIPIT_REMOTE_TLS_H

#include "conn.h"
#include "outcome.h"
#include "settings.h"
#include "tlsclient.h"
#include "tlspolicy.h"

struct tls_need { /* of a session */
  struct tlspolicy const *policy;
  struct tlsclient session; /* of tls_start, until tls_settle */
  int clear; /* TLS was tried, and has failed: in clear this time; only where the policy says may */
};

enum tls_result {
  TLS_ON,
  TLS_CLEAR, /* the session goes on in clear */
  TLS_AGAIN, /* the server's TLS has failed, and the connection is of no use: another one in clear may be */
  TLS_FAILED /* the message's verdict is in the outcome, and the connection closed */
};

/* What is needed before connecting. 1; 0 and the verdict: pipit-tlsd has to be there, and is not. */
extern int tls_can_be_had(struct tls_need const *n, struct outcome *o);

/* The server's answer to EHLO or LHLO is in <c>: STARTTLS where that is due. After TLS_ON tls_settle
 * has to be called. */
extern enum tls_result tls_start(struct conn *c, struct settings const *s, struct tls_need *n,
                                 struct outcome *o);

/* TLS before the greeting. Never TLS_CLEAR or TLS_AGAIN. */
extern enum tls_result tls_wrap(struct conn *c, struct settings const *s, struct tls_need *n,
                                struct outcome *o);

/* The first answer over TLS is there, or <status> says why not. With TLS 1.3 a server may say no when
 * the client is through with the handshake. TLS_ON, or TLS_AGAIN: then the connection is closed. */
extern enum tls_result tls_settle(struct conn *c, struct tls_need *n, enum conn_status status);

#endif
