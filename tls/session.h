/* session.h - pipit-tlsd's process for one session; see lib/tlswire.h */
#ifndef PIPIT_TLS_SESSION_H
#define PIPIT_TLS_SESSION_H

#include <openssl/ssl.h>

/* Serve the request that has come over <control>, and exit. Nothing can be opened any
 * more when the first byte of the client is read. */
extern void session_run(int control, SSL_CTX *ctx) __attribute__((noreturn));

/* Tell whoever asks over <control> that it gets no session. */
extern void session_refuse(int control, char const *why);

#endif
