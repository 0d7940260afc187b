/* sockets.h - the sockets that pipit-smtpd -l listens on: TCP, and one for pipit-handover */
#ifndef PIPIT_SMTPD_SOCKETS_H
#define PIPIT_SMTPD_SOCKETS_H

#include <stddef.h>
#include <sys/types.h>

#define SOCKETS_MAX 16

struct sockets {
  size_t count;
  int fd[SOCKETS_MAX];
  int handover; /* or -1 */
};
#define SOCKETS_NONE { .count = 0, .handover = -1 }

/* Listen on each address (a number, not a name) at <port>; with none of them,
 * on all of IPv6 (where there is IPv6) and all of IPv4. 1, or 0 after a line on
 * stderr. */
extern int sockets_open(struct sockets *s, char const *const *addresses, size_t count,
                        char const *port, unsigned int backlog);

/* Listen on the Unix socket <path> (below the home where it is relative), for the
 * account <uid>, <gid> alone. A socket that nobody listens on any more is replaced.
 * 1, or 0 after a line on stderr. */
extern int sockets_open_handover(struct sockets *s, char const *path, unsigned int backlog,
                                 uid_t uid, gid_t gid);
extern void sockets_close(struct sockets *s);

#endif
