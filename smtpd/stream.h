/* stream.h - the client's connection: buffers, deadlines, replies in batches
 *
 * Replies are collected and leave in one write as soon as the next read would
 * wait. A socket waits in recv() itself (SO_RCVTIMEO), so that a read is one
 * system call; anything else (pipes, terminals) is polled. Every wait ends
 * after <idle>, and at <expires>, the end of the whole session.
 */
#ifndef PIPIT_SMTPD_STREAM_H
#define PIPIT_SMTPD_STREAM_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_IN  16384 /* bytes of input that are held at most */
#define STREAM_OUT 4096  /* bytes of replies that are held at most */

enum stream_result {
  STREAM_OK,
  STREAM_EOF,
  STREAM_IDLE,    /* the client was silent for too long */
  STREAM_EXPIRED, /* the session has lasted too long */
  STREAM_STOPPED, /* *stop was set, and may_stop */
  STREAM_ERROR    /* errno */
};

struct stream {
  int in, out;
  int is_socket;     /* both are */
  int64_t idle;      /* milliseconds */
  int64_t wait;      /* milliseconds of one wait: no longer than idle */
  int64_t began;     /* milliseconds of the monotonic clock */
  int64_t expires;
  int may_stop;      /* a wait may be cut short by *stop */
  volatile sig_atomic_t const *stop;
  enum stream_result broken; /* the first failed write, or STREAM_OK */
  size_t pos, len;   /* unread input is inbuf[pos..len) */
  size_t outlen;
  char outbuf[STREAM_OUT];
  char inbuf[STREAM_IN];
};

/* Start on two descriptors, with the two limits in seconds. The buffers are
 * left untouched: memory that is not used costs nothing. */
extern void stream_start(struct stream *io, int in, int out, unsigned long idle,
                         unsigned long session, volatile sig_atomic_t const *stop);

/* The descriptors carry another stream now (TLS has begun): nothing of the one before is
 * read, and nothing sent that is waiting. Limits go on. */
extern void stream_renew(struct stream *io);

/* Are both the same socket? 1 or 0. */
extern int stream_is_one_socket(int in, int out);

/* Send the replies that are waiting, then wait for more input behind
 * inbuf[pos..len), which moves to the start when space is short. Must not be
 * called with a full buffer. */
extern enum stream_result stream_fill(struct stream *io);

/* Add to the replies, and send what is waiting when the buffer is full. */
extern void stream_put(struct stream *io, char const *s, size_t len);
extern enum stream_result stream_flush(struct stream *io);

/* Has the client sent more than was read already? */
extern int stream_is_pending(struct stream *io);

/* Before closing: say that nothing more will come, and take what the client
 * is still sending for a moment, so that the last reply is not lost to a reset. */
extern void stream_linger(struct stream *io);

/* Seconds that the session has lasted. */
extern unsigned long stream_age(struct stream const *io);

#endif
