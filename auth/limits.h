/* limits.h - how much a login may send in an hour: control/loginlimits
 *
 * Lines login:messages:recipients; "*" is every login without a line; an empty number is no limit.
 * What was sent is counted in twelve parts of an hour. Times are milliseconds of clock_ms.
 */
#ifndef PIPIT_AUTH_LIMITS_H
#define PIPIT_AUTH_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* Read the file anew. 1, or 0 with control_why(), and the old limits stay. */
extern int limits_load(void);

#define LIMITS_NEVER UINT32_MAX

/* May the login send one message more, to so many recipients? 0: yes, and it is counted; else the
 * seconds after which it may, LIMITS_NEVER where this message alone is too much. */
extern unsigned int limits_ask(char const *login, size_t len, uint32_t recipients, uint64_t now);

#endif
