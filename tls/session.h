/* session.h - pipit-tlsd's process for one session; see lib/tlswire.h */
#ifndef PIPIT_TLS_SESSION_H
#define PIPIT_TLS_SESSION_H

#include "context.h"

/* Serve the request that has come over <control>, and exit; the status is one of memory.h.
 * Nothing can be opened any more when the first byte of the peer is read. */
extern void session_run(int control, struct context *c) __attribute__((noreturn));

/* Tell whoever asks over <control> that it gets no session. */
extern void session_refuse(int control, char const *why);

/* The same, because of what is known of its server: it may do without. */
extern void session_dissuade(int control, char const *why);

#endif
