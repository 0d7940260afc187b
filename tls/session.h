/* session.h - pipit-tlsd's process for a session; see lib/tlswire.h
 *
 * With TLS clients it may serve more than one, for whoever asks over the same connection: which are
 * those of one client, see smtpd/tls.h. It begins none when the parent is gone or has changed (context.h), or
 * when it is older than TLSWIRE_AGAIN_MS, for the parent looks for changes when it is asked. */
#ifndef PIPIT_TLS_SESSION_H
#define PIPIT_TLS_SESSION_H

#include "context.h"

#define SESSION_IDLE_MS 250 /* to wait for the next request */

/* Serve the request that has come over <control>, and those that follow, and exit; the status is one of memory.h.
 * Nothing can be opened any more when the first byte of the peer is read. */
extern void session_run(int control, struct context *c) __attribute__((noreturn));

/* Tell whoever asks over <control> that it gets no session. */
extern void session_refuse(int control, char const *why);

/* The same, because of what is known of its server: it may do without. */
extern void session_dissuade(int control, char const *why);

#endif
