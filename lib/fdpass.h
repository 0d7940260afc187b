/* fdpass.h - packets over a nameless SOCK_SEQPACKET pair, with or without a descriptor */
#ifndef PIPIT_FDPASS_H
#define PIPIT_FDPASS_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Send one packet of <n> pieces, with <fd> unless it is -1, without waiting:
 * 1 sent, 0 would block, -1 with errno (EMSGSIZE: too large; EPIPE: nobody there). */
extern int fdpass_send(int sock, struct iovec *v, size_t n, int fd);

/* Receive one packet, which must fit into buf[0..size): its length, 0 at the
 * end of the stream, or -1 with errno; <flags> are those of recvmsg. <*fd> is the
 * descriptor that came, close-on-exec, or -1. A packet that is cut off or
 * brings more than one is lost: EPROTO, and they are closed. */
extern ssize_t fdpass_recv(int sock, char *buf, size_t size, int flags, int *fd);

#endif
