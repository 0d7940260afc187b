/* message.h - the message that is delivered: read once from a pipe or from memory, or kept
 * and read many times
 */
#ifndef PIPIT_MESSAGE_H
#define PIPIT_MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "loop.h"
#include "report.h"

struct message {
  char const *data; /* all of it, when that is not NULL */
  int fd;           /* where it can be read */
  int kept;         /* it is a file, whole and checked: it can be read again from its start */
  int own;          /* that file was made here */
  uint64_t length;  /* bytes; until it is kept perhaps COPY_ALL */
  struct loop loop;
};

/* The message data[0..length), or where that is NULL the one on <fd>, of <length>
 * bytes (COPY_ALL: up to its end). address[0..len) is that of our Delivered-To
 * line. Both must live as long as <m>. */
extern void message_init(struct message *m, char const *data, int fd, uint64_t length,
                         char const *address, size_t len);

/* Close what message_keep has opened; <fd> stays the caller's. */
extern void message_free(struct message *m);

/* Make it a file that can be read again: descriptor 0 when that is one, else a
 * copy without a name; with <programs> one that can be opened anew. 1; or 0
 * and <r>: temporary when it is not whole or cannot be kept, permanent when
 * it loops. Nothing was delivered then. */
extern int message_keep(struct message *m, int programs, struct report *r);

/* Write head[0..n), at most MESSAGE_HEAD pieces, and the whole message to the end
 * of <fd>; the size of the message goes to <*size>. Of a message that is not kept
 * the end is not known before: nothing may appear unless this returns 1. Else 0
 * and <r>, as message_keep; <name> is what is written to. */
#define MESSAGE_HEAD 2
extern int message_write(struct message *m, int fd, char const *name, struct iovec const *head,
                         size_t n, uint64_t *size, struct report *r);

/* A descriptor of a kept message with an offset of its own, at its start; -1 with errno. */
extern int message_reopen(struct message const *m);

#endif
