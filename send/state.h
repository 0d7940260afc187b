/* state.h - what was tried for a message: the lines of queue/state/<n>/<id>
 *
 * The file's nonce is the message's. Recipients are counted from 0 in the
 * order of the envelope. Payloads:
 *   d <rcpt>                                         delivered
 *   f <rcpt> <text>                                  failed; text for the bounce
 *   z <rcpt> <run> <attempts> <when> <age> <wait>    to be tried again: the run
 *      of send that tried it and how often in that run, the wall clock then
 *      (seconds), the age it had (retry.h), and the seconds to wait from then
 *   b <id>                                           its bounce was queued as <id>
 * In a text, "\n" stands for a newline and "\\" for a backslash.
 */
#ifndef PIPIT_SEND_STATE_H
#define PIPIT_SEND_STATE_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#include "qfile.h"

#define STATE_TITLE "pipit-state-1"

enum state_fate { STATE_OPEN, STATE_DONE, STATE_FAILED };

struct state_rcpt {
  uint32_t when; /* seconds since the epoch; 0: never tried */
  uint32_t age;
  uint32_t wait;
  uint16_t attempts; /* in this run */
  uint8_t fate;
};
struct state {
  struct state_rcpt *rcpts; /* NULL when nothing was tried */
  uint32_t count;
  uint32_t failed;  /* recipients that failed */
  uint64_t bounced; /* id of the bounce, or 0 */
};
#define STATE_ZERO { 0 }

/* Read the state file <fd> of a message with <count> recipients, for the run
 * <run>, into an empty <st>. 1; 0 when it is another message's (the nonce), or
 * none; -1 with errno. */
extern int state_read(struct state *st, int fd, char const nonce[QFILE_NONCE], uint32_t count,
                      uint64_t run);
extern void state_free(struct state *st);

/* Append a payload. 1, or 0 with ENOMEM. */
extern int state_put_done(stralloc *out, uint32_t rcpt);
extern int state_put_failed(stralloc *out, uint32_t rcpt, char const *text, size_t len);
extern int state_put_again(stralloc *out, uint32_t rcpt, uint64_t run, struct state_rcpt const *r);
extern int state_put_bounced(stralloc *out, uint64_t id);

/* If s[0..len) is the payload of a failure: set <rcpt>, append its text. 1, 0, or -1 with ENOMEM. */
extern int state_get_failed(char const *s, size_t len, uint32_t *rcpt, stralloc *text);

#endif
