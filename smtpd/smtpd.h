/* smtpd.h - what pipit-smtpd does once it knows its client, in both ways to start it */
#ifndef PIPIT_SMTPD_SMTPD_H
#define PIPIT_SMTPD_SMTPD_H

#include <signal.h>

#include <skalibs/stralloc.h>

#include "client.h"
#include "settings.h"

struct smtpd {
  struct settings const *settings;
  volatile sig_atomic_t const *stop; /* asks to end soon; or NULL */
  int confined; /* what a session never needs is given up already */
  int again;    /* this process is to serve others later */
};

enum served {
  SERVED_OVER,  /* and this process has to end */
  SERVED_AGAIN, /* and it may serve another client: nothing of this one is left */
  SERVED_NOT    /* local trouble, which was told on stderr and to the client */
};

/* Give up what a session never needs, and serve the client. <rule>: the
 * instructions of a tcprules file for it that are not in the environment, or NULL. */
extern enum served smtpd_serve(struct smtpd *d, struct client *client, stralloc const *rule, int in,
                               int out);

#endif
