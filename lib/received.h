/* received.h - the Received line that queued puts before a message (RFC 5321, 4.4) */
#ifndef PIPIT_RECEIVED_H
#define PIPIT_RECEIVED_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "queuewire.h"

#define RECEIVED_ME_MAX 255 /* bytes of control/me that are used */
#define RECEIVED_MAX    (QUEUEWIRE_TRACE_MAX + 128)

/* May s[0..len) stand between "Received: " and the id? It is not empty, has no
 * NUL, no control character but tabs and newlines, and every newline is
 * followed by a tab or a space and then by something else than a line end. 1 or 0. */
extern int received_trace_ok(char const *s, size_t len);

/* Write "Received: <trace> id <id>; <date>\n"; the length is returned, and
 * <*idat> is where the id's digits begin. <len> is at most QUEUEWIRE_TRACE_MAX. */
extern size_t received_trace(char out[RECEIVED_MAX], char const *trace, size_t len, uint64_t id,
                             time_t when, size_t *idat);

/* The same with "by <me> (pipit, from uid <uid>)" for the trace. */
extern size_t received_uid(char out[RECEIVED_MAX], char const *me, uint32_t uid, uint64_t id,
                           time_t when, size_t *idat);

#endif
