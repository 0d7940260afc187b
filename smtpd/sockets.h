/* sockets.h - the sockets that pipit-smtpd -l listens on */
#ifndef PIPIT_SMTPD_SOCKETS_H
#define PIPIT_SMTPD_SOCKETS_H

#include <stddef.h>

#define SOCKETS_MAX 16

struct sockets {
  size_t count;
  int fd[SOCKETS_MAX];
};

/* Listen on each address (a number, not a name) at <port>; with none of them,
 * on all of IPv6 (where there is IPv6) and all of IPv4. 1, or 0 after a line on
 * stderr. */
extern int sockets_open(struct sockets *s, char const *const *addresses, size_t count,
                        char const *port, unsigned int backlog);
extern void sockets_close(struct sockets *s);

#endif
