/* smtpd.h - what pipit-smtpd does once it knows its client, in both ways to start it */
#ifndef PIPIT_SMTPD_SMTPD_H
#define PIPIT_SMTPD_SMTPD_H

#include <signal.h>

#include "client.h"
#include "settings.h"

/* Give up what a session never needs, and serve the client. <confined>: that
 * was done already. Returns the exit code. */
extern int smtpd_serve(struct settings const *settings, struct client *client, int in, int out,
                       volatile sig_atomic_t const *stop, int confined);

#endif
