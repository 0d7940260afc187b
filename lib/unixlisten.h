/* unixlisten.h - a Unix socket of an account, bound by root in a directory of another */
#ifndef PIPIT_UNIXLISTEN_H
#define PIPIT_UNIXLISTEN_H

#include <sys/stat.h>
#include <sys/types.h>

/* Listen on <path>, a SOCK_SEQPACKET socket of that mode, which belongs to <uid> and
 * <gid>. One that nobody listens on any more is replaced, and nothing else is. The
 * descriptor does not block and is close-on-exec; -1 with errno: EADDRINUSE, EEXIST (no
 * socket), ENAMETOOLONG and so on. */
extern int unixlisten(char const *path, mode_t mode, uid_t uid, gid_t gid, unsigned int backlog);

#endif
