/* retry.h - when to try a recipient again, and when to give up
 *
 * qmail's schedule: the n-th attempt is at birth + (n * skip)^2 seconds. It is
 * computed from an age that each recipient carries along, not from the birth:
 * between two attempts the age grows by what the wall clock says, but never
 * backwards and never by more than RETRY_GAP_MAX, so that no jump of the clock
 * and no week in which the host was off makes mail old.
 */
#ifndef PIPIT_SEND_RETRY_H
#define PIPIT_SEND_RETRY_H

#include <stddef.h>
#include <stdint.h>

#define RETRY_SKIP_LOCAL  10
#define RETRY_SKIP_REMOTE 20
#define RETRY_GAP_MAX     43200     /* seconds: the most that an age grows between two attempts */
#define RETRY_AGE_MAX     604800    /* seconds: intervals do not grow further past this age */
#define RETRY_LIFETIME    604800    /* queuelifetime's default */
#define RETRY_LIFETIME_MAX 315360000
#define RETRY_JITTER      5         /* per cent that are added to a wait, at most */
#define RETRY_GREY_WAIT   310       /* seconds: greylists let in what comes again after 300 */
#define RETRY_FULL_WAIT   3600      /* seconds: the least for a full mailbox */
#define RETRY_ATTEMPTS    2         /* nothing is given up before so many attempts in this run */

/* Seconds to wait after an attempt at <age> seconds. */
extern uint32_t retry_wait(uint32_t age, uint32_t skip);

/* The same and up to RETRY_JITTER per cent, always the same for one <id>. */
extern uint32_t retry_jitter(uint32_t wait, uint64_t id);

enum retry_reply { RETRY_PLAIN, RETRY_GREY, RETRY_FULL };

/* What does a reply ("450 ...") with this enhanced status code (length 0: none) sound like? */
extern enum retry_reply retry_judge(char const *said, size_t len, char const *status, size_t slen);

/* Seconds to wait after such a reply, <wait> being the schedule's: less after the <first> one of a
 * greylist, more for a full mailbox. */
extern uint32_t retry_reply(enum retry_reply reply, uint32_t wait, int first);

/* The age now of what was <age> old at the wall clock time <when>. */
extern uint32_t retry_age(uint32_t age, int64_t when, int64_t now);

/* Is it time to give up, at this <age>, after <attempts> in this run (this one
 * counted), with the wall clock at <now>? */
extern int retry_expired(uint32_t age, uint32_t lifetime, uint32_t attempts, int64_t now);

#endif
