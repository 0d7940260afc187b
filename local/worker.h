/* worker.h - deliver message after message to one address, for pipit-lspawn (lib/job.h) */
#ifndef PIPIT_LOCAL_WORKER_H
#define PIPIT_LOCAL_WORKER_H

#include "perform.h"

#define WORKER_ARGS (DELIVERY_ARGS - 1) /* without the sender, which comes with each job */

/* <how> has the first fields of what is done for each job. Serve until the socket on descriptor 0
 * ends. A job is answered there when it was delivered and was nothing but one Maildir or mbox;
 * whatever else happens ends the process, as that of a single delivery, with the text on
 * descriptors 1 and 2 and its exit code. So an exit means: the job that was read last is over. */
extern void worker_run(char const *const *args, struct perform const *how)
    __attribute__((noreturn));

#endif
