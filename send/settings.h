/* settings.h - the control files that send itself reads, apart from the routes */
#ifndef PIPIT_SEND_SETTINGS_H
#define PIPIT_SEND_SETTINGS_H

#include <stdint.h>

#include "route.h"

#define CONCURRENCY_LOCAL  10
#define CONCURRENCY_REMOTE 20
#define CONCURRENCY_MAX    4000 /* job slots, and descriptors */

struct settings {
  uint32_t concurrency[CHANNELS]; /* jobs at a time; 0: hold this mail */
  uint32_t lifetime;              /* queuelifetime, seconds */
  uint32_t delaywarn;             /* seconds; 0: nobody is told of delays */
};

/* Read concurrencylocal, concurrencyremote, queuelifetime and delaywarn. 1, or 0 and
 * control_why(); <s> is unchanged then. */
extern int settings_load(struct settings *s);

#endif
