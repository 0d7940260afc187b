/* clock.h - the clocks that pipit goes by: one that never jumps, and the wall's */
#ifndef PIPIT_CLOCK_H
#define PIPIT_CLOCK_H

#include <stdint.h>

#define CLOCK_PLAUSIBLE 1735689600 /* the start of 2025: a wall clock before it was never set */

/* Milliseconds of a clock that runs evenly and never goes back; never 0. */
extern uint64_t clock_ms(void);
/* Seconds since the epoch by the wall clock, which may jump; never negative. */
extern int64_t clock_wall(void);
/* The same in microseconds. */
extern uint64_t clock_wall_us(void);

/* Do nothing for so long, or until a signal comes: where the kernel has no memory, so that
 * trying again does not become a loop. */
extern void clock_nap(unsigned int ms);

#endif
