/* fdpass.h - packets over SOCK_SEQPACKET sockets, with or without descriptors */
#ifndef PIPIT_FDPASS_H
#define PIPIT_FDPASS_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#define FDPASS_MAX 2 /* descriptors that a packet may bring */

/* Send one packet of <n> pieces, with the descriptors fd[0..nfd) up to the first
 * that is -1, without waiting: 1 sent, 0 would block, -1 with errno (EMSGSIZE: too
 * large; EPIPE: nobody there). */
extern int fdpass_send(int sock, struct iovec *v, size_t n, int const *fd, size_t nfd);

/* Receive one packet, which must fit into buf[0..size): its length, 0 at the
 * end of the stream, or -1 with errno; <flags> are those of recvmsg. fd[0..nfd) are
 * the descriptors that came, close-on-exec, then -1. A packet that is cut off, is
 * empty but for descriptors, or brings more than <nfd>, is lost: EPROTO, and they
 * are closed. */
extern ssize_t fdpass_recv(int sock, char *buf, size_t size, int flags, int *fd, size_t nfd);

#endif
