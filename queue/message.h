/* message.h - one message on its way to the disk
 *
 * What fits into the buffer needs no file before the commit, and then takes
 * one from the pool; a larger message goes into a new file piece by piece.
 */
#ifndef PIPIT_MESSAGE_H
#define PIPIT_MESSAGE_H

#include "envelope.h"
#include "newfile.h"
#include "qfile.h"
#include "queued.h"
#include "received.h"

#define MESSAGE_BUFFER 65536

struct message {
  struct queue const *q;
  struct qfile file;        /* the header to be; its sum covers what was flushed */
  struct envelope envelope;
  struct newfile new;       /* none until the buffer is too small */
  uint64_t flushed;         /* bytes of message and envelope in the file */
  uint64_t checked;         /* what was flushed when the space was last looked at */
  size_t idat;              /* where the id's digits are in the first buffer */
  int code;                 /* 0, or the first error: an exit code of qmail-queue */
  char const *why;
  size_t len;               /* bytes in buf */
  char buf[MESSAGE_BUFFER];
};

/* Begin a message of <size> bytes (0: unknown), and see whether there is room. An
 * empty trace stands for the one with the uid. The outcome is in m->code. */
extern void message_begin(struct message *m, struct queue const *q, uid_t uid, uint64_t size,
                          char const *trace, size_t tracelen);
extern void message_data(struct message *m, char const *s, size_t len);
extern void message_envelope(struct message *m, char const *s, size_t len);

/* Put it on disk and tell send. 1, or 0 with code and why. The message is over. */
extern int message_commit(struct message *m);
/* Throw it away. */
extern void message_abort(struct message *m);

/* Fail with <code> unless an error came before. */
extern void message_fail(struct message *m, int code, char const *why);

#endif
