/* worker.h - a child of pipit-smtpd -l, which serves one client after the other
 *
 * The first client comes with the fork; others are handed to it over a
 * socketpair, one packet each: the address as text, in INET6_ADDRSTRLEN bytes,
 * the rule for it as it stands in the tcprules file, the connection, and that of
 * pipit-handover where it has one.
 * Between two clients it writes its pid to a pipe, and waits. It ends by itself
 * after WORKER_SESSIONS, after WORKER_IDLE_SECONDS without a client, after a
 * session that did not end in good order, and when its socket is closed.
 */
#ifndef PIPIT_SMTPD_WORKER_H
#define PIPIT_SMTPD_WORKER_H

#include <netinet/in.h>

#include <skalibs/stralloc.h>

#include "client.h"
#include "smtpd.h"

#define WORKER_SESSIONS     100
#define WORKER_IDLE_SECONDS 2
#define WORKER_RULE_MAX     1000 /* bytes of a rule that can be handed over */

/* Who came in. */
struct guest {
  int fd;               /* the client's connection */
  int front;            /* that of the pipit-handover which waits for the session's end, or -1 */
  struct client client; /* a worker gets the address */
};

struct worker {
  struct smtpd smtpd;
  int from; /* the end of a worker_pair where the next clients come from, or -1 */
  int idle; /* the pipe */
};

/* Make a socketpair: fd[0] for the parent, fd[1] for the worker. 1, or 0 with errno. */
extern int worker_pair(int fd[2]);

/* Hand the guest to the worker at the other end of <to>. 1, or 0 when it cannot
 * take it. */
extern int worker_give(int to, struct guest const *g, stralloc const *rule);

/* Serve the guest, then others, and exit. <rule> as for smtpd_serve. */
extern void worker_run(struct worker *w, struct guest const *first, stralloc const *rule)
    __attribute__((noreturn));

#endif
