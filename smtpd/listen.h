/* listen.h - pipit-smtpd -l: accept connections, or get them, and let children serve them */
#ifndef PIPIT_SMTPD_LISTEN_H
#define PIPIT_SMTPD_LISTEN_H

#include "access.h"
#include "settings.h"
#include "sockets.h"

struct listener {
  struct settings *settings;
  struct access access;
  struct sockets sockets;
  unsigned long sessions;   /* -c; 0: control/concurrencysmtpd */
  unsigned long per_client; /* -C; 0: control/concurrencysmtpdclient */
  int ready_fd;             /* -d, or -1 */
};

/* Accept until SIGTERM; then let the sessions end, for a while. Returns the
 * exit code. */
extern int listen_run(struct listener *l);

#endif
