/* settings.h - the control files that send itself reads, apart from routes and limits */
#ifndef PIPIT_SEND_SETTINGS_H
#define PIPIT_SEND_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "map.h"
#include "rewrite.h"

#define CONCURRENCY_LOCAL  10
#define CONCURRENCY_REMOTE 20
#define CONCURRENCY_MAX    4000 /* job slots, and descriptors */

struct settings {
  uint32_t concurrency[CHANNELS]; /* jobs at a time; 0: hold this mail */
  uint32_t lifetime;              /* queuelifetime, seconds */
  uint32_t delaywarn;             /* seconds; 0: nobody is told of delays */
  struct map lifetimes;           /* queuelifetimedomains, by domain; the values are digits */
};
#define SETTINGS_ZERO { .lifetimes = MAP_ZERO }

/* Read concurrencylocal, concurrencyremote, queuelifetime, delaywarn and queuelifetimedomains into
 * an empty <s>. 1, or 0 and control_why(); <s> is empty then. */
extern int settings_load(struct settings *s);
extern void settings_free(struct settings *s);

/* Seconds that mail for this address may wait. */
extern uint32_t settings_lifetime(struct settings const *s, char const *addr, size_t len);

#endif
