/* rworker.h - pipit-rspawn's workers: one pipit-remote process for each open connection */
#ifndef PIPIT_SEND_RWORKER_H
#define PIPIT_SEND_RWORKER_H

#include "rslot.h"

/* Give the job to a worker: an idle one whose last job was for the same host; else,
 * where the job may wait, one that is busy with such a job and has few waiting; else
 * a new one, for which an idle one is let go where all places are taken; where
 * there is none, a busy one all the same. The job's descriptor stays the caller's.
 * Whatever fails, send has its answer. */
extern void rworker_give(struct rspawn *r, struct job const *j);

/* Read what a worker says: results, the end of a job. One that has nothing more to do
 * then gets the job that waits behind another one for the same host. */
extern void rworker_read(struct rspawn *r, struct rslot *s);

/* It has exited (s->pid is 0). Jobs that it had not read are given to others. */
extern void rworker_exited(struct rspawn *r, struct rslot *s);

/* Its time is up: an idle worker is let go, a hung one killed. */
extern void rworker_late(struct rspawn *r, struct rslot *s);

/* A slot that is free, for any use; NULL when all are taken. The slots of
 * workers that were let go and still have not exited are taken back. */
extern struct rslot *rworker_free_slot(struct rspawn *r);

/* Let go the worker that has been idle longest. 1, or 0 when none is idle. */
extern int rworker_make_room(struct rspawn *r);

/* Jobs and idle workers. */
extern uint32_t rworker_count(struct rspawn const *r);

#endif
