/* memory.h - TLS servers that have failed lately
 *
 * Whoever may do without TLS need not try again with each message. The process that all
 * sessions are children of knows which have failed: a child tells by its exit status, so
 * it can tell of its own server alone. A server is known by a hash of what the request
 * calls it. What is forgotten too early costs a handshake.
 */
#ifndef PIPIT_TLS_MEMORY_H
#define PIPIT_TLS_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MEMORY_MS 600000 /* how long a failure is remembered */

/* Exit statuses of sessions: what they tell of their server. */
#define MEMORY_NOTHING 0
#define MEMORY_FAILED  1
#define MEMORY_WORKS   2

/* The key of a server that is called s[0..len); never 0. */
extern uint64_t memory_key(char const *s, size_t len);

/* Has it failed lately? */
extern int memory_has_failed(uint64_t key);

/* A session with it has begun, as process <pid>; that has ended, with an exit status. */
extern void memory_begun(uint64_t key, pid_t pid);
extern void memory_ended(pid_t pid, int code);

#endif
