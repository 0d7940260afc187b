/* state.h - what was tried for a message: the lines of queue/state/<n>/<id>
 *
 * The file's nonce is the message's. Recipients are counted from 0 in the
 * order of the envelope. Payloads:
 *   d <rcpt>                                         delivered
 *   r <rcpt> <action> <when> <text>                  to be reported to the sender: an action
 *      below, the wall clock then (seconds), the text of the delivery
 *   f <rcpt> <text>                                  an older form of r with STATE_ACT_FAILED
 *   z <rcpt> <run> <attempts> <when> <age> <wait>    to be tried again: the run
 *      of send that tried it and how often in that run, the wall clock then
 *      (seconds), the age it had (retry.h), and the seconds to wait from then
 *   p <rcpt> <text>                                  what its delivery has done so far: the note S of
 *      lib/job.h; the last one counts
 *   n <id>                                           the sender was told of all delays before
 *      this line, in the message <id> (0: there was nothing to tell)
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

#define STATE_ACT_FAILED    'f'
#define STATE_ACT_DELIVERED 'd' /* these three: finished, and the sender asked to be told */
#define STATE_ACT_RELAYED   'r' /* to a server that does not tell of deliveries */
#define STATE_ACT_EXPANDED  'e' /* forwarded to several addresses */
#define STATE_ACT_DELAYED   'w' /* not finished */

enum state_fate { STATE_OPEN, STATE_DONE, STATE_FAILED };

struct state_rcpt {
  uint32_t when; /* seconds since the epoch; 0: never tried */
  uint32_t age;
  uint32_t wait;
  uint16_t attempts; /* in this run */
  uint8_t fate;
  uint8_t warned; /* STATE_ACT_DELAYED was noted */
  uint32_t sofar; /* 1 + where its text begins in the state's <sofar>; 0: there is none */
};
struct state_report { /* a payload r or f */
  uint32_t rcpt;
  uint32_t when; /* 0: not known */
  char action;
};
struct state {
  struct state_rcpt *rcpts; /* NULL when nothing was tried */
  uint32_t count;
  uint32_t failed;  /* recipients that failed */
  uint32_t arrived; /* recipients of whose delivery the sender is to be told */
  uint32_t delayed; /* recipients of whose delay the sender was not told yet */
  uint64_t bounced; /* id of the bounce, or 0 */
  stralloc sofar;   /* texts, each with a NUL */
};
#define STATE_ZERO { 0 }

/* Read the state file <fd> of a message with <count> recipients, for the run
 * <run>, into an empty <st>. 1; 0 when it is another message's (the nonce), or
 * none; -1 with errno. */
extern int state_read(struct state *st, int fd, char const nonce[QFILE_NONCE], uint32_t count,
                      uint64_t run);
extern void state_free(struct state *st);

/* What was done for this recipient so far, or NULL. */
extern char const *state_sofar(struct state const *st, struct state_rcpt const *r);

/* Append a payload. 1, or 0 with ENOMEM. */
extern int state_put_done(stralloc *out, uint32_t rcpt);
extern int state_put_report(stralloc *out, struct state_report const *r, char const *text,
                            size_t len);
extern int state_put_again(stralloc *out, uint32_t rcpt, uint64_t run, struct state_rcpt const *r);
extern int state_put_sofar(stralloc *out, uint32_t rcpt, char const *text, size_t len);
extern int state_put_told(stralloc *out, uint64_t id);
extern int state_put_bounced(stralloc *out, uint64_t id);

/* Is s[0..len) a payload d? Then 1 and its recipient. */
extern int state_get_done(char const *s, size_t len, uint32_t *rcpt);
/* If s[0..len) is a payload r or f: fill in <r>, append its text. 1, 0, or -1 with ENOMEM. */
extern int state_get_report(char const *s, size_t len, struct state_report *r, stralloc *text);

#endif
