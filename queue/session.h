/* session.h - one connection to queued, from its first frame to its end */
#ifndef PIPIT_SESSION_H
#define PIPIT_SESSION_H

#include "queued.h"

#define SESSION_IDLE_SECONDS 1200 /* without a byte from the client, inside a message or not */
#define SESSION_SEND_SECONDS 60   /* for the client to take a reply */

/* Serve the client on <sock>, whose uid is <uid>, until he leaves. SIGTERM ends
 * the process between two messages, never inside one. Never returns. */
extern void session_run(int sock, uid_t uid, struct queue const *q) __attribute__((noreturn));

/* Send one reply and leave it at that: for a client who cannot be served. */
extern void session_refuse(int sock, char const *why);

#endif
