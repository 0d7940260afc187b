/* rprogram.h - QMAILREMOTE: one process for each job, with qmail-remote's interface */
#ifndef PIPIT_SEND_RPROGRAM_H
#define PIPIT_SEND_RPROGRAM_H

#include <sys/resource.h>

#include "rslot.h"

/* Run it: arguments host sender rcpt..., the message (and nothing else of the
 * queue file) on descriptor 0 in a file of its own, the report read from
 * descriptor 1. The job's descriptor stays the caller's. Whatever fails, send
 * has its answer. <memory>: the limit to give back to the program. */
extern void rprogram_run(struct rspawn *r, struct job const *j, struct rlimit const *memory);

/* Read a part of its report. */
extern void rprogram_read(struct rspawn *r, struct rslot *s);

/* It has exited: s->status. */
extern void rprogram_exited(struct rspawn *r, struct rslot *s);

/* Its time is up: it is killed, and the job has failed for now. */
extern void rprogram_late(struct rspawn *r, struct rslot *s);

#endif
