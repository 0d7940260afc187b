/* localsocket.h - Unix sockets: one to listen on, made as root for an account, and a connection to one */
#ifndef PIPIT_LOCALSOCKET_H
#define PIPIT_LOCALSOCKET_H

#include <sys/types.h>

/* Make the SOCK_SEQPACKET socket <path>, with these rights and owners, and listen on it;
 * whoever is not root keeps it for itself. A socket that nobody listens on any more is
 * replaced. The descriptor (close-on-exec, it does not wait), or -1 with errno: EADDRINUSE
 * when somebody listens there, EEXIST when that is no socket, ENAMETOOLONG over 107 bytes. */
extern int localsocket_listen(char const *path, unsigned int backlog, mode_t mode, uid_t uid,
                              gid_t gid);

/* Connect to the SOCK_SEQPACKET socket <name> of the instance, run/... A descriptor
 * (close-on-exec, it does not wait), or -1 with errno. */
extern int localsocket_reach(char const *name);

#endif
