/* health.h - how many jobs a next hop gets at a time, and whether it is dead
 *
 * The window starts small, grows with each success until the host fails for the
 * first time, and from then on by one for a whole window of successes. A failure
 * of the host (no connection, 421, a connection that died) closes it to what was
 * in flight beside the failed job. After HEALTH_DEAD_AFTER failures in a row, and
 * with nothing in flight that could still succeed, the host is dead: it gets one
 * job, a probe, at growing intervals. Times are clock_ms().
 */
#ifndef PIPIT_SEND_HEALTH_H
#define PIPIT_SEND_HEALTH_H

#include <stdint.h>

#define HEALTH_START      5       /* jobs at a time, to begin with */
#define HEALTH_LOGIN      1       /* the same, where each connection begins with a login */
#define HEALTH_DEAD_AFTER 5       /* failures in a row */
#define HEALTH_PROBE_MIN  60000   /* milliseconds until the first probe; each interval is twice the last */
#define HEALTH_PROBE_MAX  1800000
#define HEALTH_JITTER     10      /* per cent that are added to an interval, at most */

struct health {
  uint32_t window;
  uint32_t grown;    /* successes since the window grew last */
  uint32_t failures; /* in a row */
  int shrunk;        /* it has failed before: the window grows slowly */
  int dead;
  uint32_t probes;   /* that failed since it died */
  uint32_t seed;     /* of the jitter: what differs from host to host */
  uint64_t died_at, probe_at;
};

extern void health_init(struct health *h, uint32_t seed);

/* Something was delivered; the window grows up to <cap>. 1 when the host was dead before. */
extern int health_success(struct health *h, uint32_t cap);

/* The host has answered, but took nothing. 1 when it was dead before; then one more failure
 * makes it dead again. */
extern int health_answer(struct health *h);

/* The host has failed, with <inflight> jobs there, the failed one counted. 1 when it is dead now
 * and was not before. For a dead host: the probe has failed. */
extern int health_failure(struct health *h, uint32_t inflight, uint64_t now);

/* The host will fail again however often it is tried: as the last of those failures. */
extern int health_end(struct health *h, uint64_t now);

/* Milliseconds from the <probes>th failed probe (0: from its death) to the next one. */
extern uint64_t health_interval(uint32_t probes, uint32_t seed);

/* So many messages in so many seconds, evenly spaced. */
struct bucket {
  uint64_t next; /* microseconds of clock_ms()'s clock: when the next one may start */
};

#define BUCKET_SLACK 100000 /* microseconds: who was late by less may catch up */

/* Milliseconds until one may start, with <count> in <seconds>; 0: now. <count> 0: no limit. */
extern uint64_t bucket_wait(struct bucket const *b, uint32_t count, uint64_t now);
/* One starts. */
extern void bucket_take(struct bucket *b, uint32_t count, uint32_t seconds, uint64_t now);

#endif
