/* message.h - the message of a job: read with pread, converted once where it is small
 *
 * A message of up to MESSAGE_WHOLE bytes is read and converted before the
 * dialogue begins, with its end, so that one write sends it. A larger one is
 * read twice: once to measure it, where the server wants to know, and once to
 * send it.
 */
#ifndef PIPIT_REMOTE_MESSAGE_H
#define PIPIT_REMOTE_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "output.h"

#define MESSAGE_WHOLE 32768 /* bytes that are read at once */

struct message {
  int fd;
  uint64_t offset, length; /* where it lies in fd */
  uint64_t done;           /* bytes of it that were converted */
  struct output output;    /* after message_measure: its size, and whether it has 8-bit bytes */
  int whole;               /* out holds all of it */
  size_t outlen;
  char in[MESSAGE_WHOLE];
  char out[OUTPUT_GROWTH * MESSAGE_WHOLE + OUTPUT_END];
};

/* Begin. 1, or 0 with errno when the message cannot be read in full (EPIPE: the
 * file is shorter than it should be). */
extern int message_open(struct message *m, int fd, uint64_t offset, uint64_t length);

/* Fill in m->output. Returns as message_open. */
extern int message_measure(struct message *m);

/* Start to send: the next message_next gives the first block. */
extern void message_rewind(struct message *m);

/* The next block in m->out[0..outlen), the end of data included in the last
 * one. 1 a block, more follow; 2 the last one; 0 with errno. */
extern int message_next(struct message *m);

#endif
