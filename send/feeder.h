/* feeder.h - the child of send that copies messages into pipes
 *
 * User code never gets a descriptor of a queue file, which holds everybody's
 * envelope. It gets a small message in the packet of the job, a larger one
 * out of a pipe that the feeder fills. The feeder never waits for a reader; one
 * that goes away is no error.
 */
#ifndef PIPIT_SEND_FEEDER_H
#define PIPIT_SEND_FEEDER_H

#include <stdint.h>
#include <sys/types.h>

/* The feeder's process: serve <sock> until the other end is closed, and every
 * pipe is done or has no reader. Never returns. */
extern void feeder_run(int sock) __attribute__((noreturn));

/* Give the feeder a file and the writing end of a pipe: it writes <length>
 * bytes from <offset> on, and closes both. The caller closes his own. 1 sent,
 * 0 would block, -1 with errno. */
extern int feeder_feed(int sock, int file, int pipe, uint64_t offset, uint64_t length);

#endif
