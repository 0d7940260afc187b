/* worker.h - deliver message after message to one address, for pipit-lspawn (lib/job.h) */
#ifndef PIPIT_LOCAL_WORKER_H
#define PIPIT_LOCAL_WORKER_H

#include "perform.h"

#define WORKER_ARGS (DELIVERY_ARGS - 1) /* without the sender, which comes with each job */
#define WORKER_SOCKET 3 /* the descriptor on which jobs come; close-on-exec */

/* Of a mailbox: no dot-qmail file is looked for, and its Maildir is made where it is missing. */
struct worker_mailbox {
  char const *quota; /* of the Maildir, as Maildir++ writes it; "": none */
};

/* Deliver to one address, as the process's user; args as those of pipit-local(8), without the sender. <m> is NULL
 * where it is no mailbox. Serve until the socket ends. A job is answered there when it was delivered and was nothing but one Maildir or mbox;
 * whatever else happens ends the process, as that of a single delivery, with the text on
 * descriptors 1 and 2 and its exit code. So an exit means: the job that was read last is over.
 * Notes on its result (lib/job.h) go over the socket before. */
extern void worker_run(char const *const *args, struct worker_mailbox const *m)
    __attribute__((noreturn));

#endif
