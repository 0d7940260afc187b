/* submit.h - hand a message to the queue: smtpd, inject, local's forwards, send's bounces
 *
 * With QMAILQUEUE set in the environment (and allowed by the caller) the
 * program named there is run with the message on descriptor 0 and the envelope
 * on 1, as every qmail program does; otherwise pipit-queued is spoken to over
 * run/queue. Either way: open, message, envelope, close; the result says
 * whether the message is on disk.
 *
 *   struct submit s;
 *   if (!submit_open(&s, ...)) -> s.why
 *   submit_message(&s, bytes, len) ...       errors are kept until submit_commit
 *   submit_from(&s, sender); submit_extra(&s, "BODY", "8BITMIME"); submit_to(&s, rcpt) ...
 *   switch (submit_commit(&s)) ...
 * submit_abort at any point throws the message away. One struct can be used
 * for message after message; submit_close ends the connection.
 */
#ifndef PIPIT_SUBMIT_H
#define PIPIT_SUBMIT_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#define SUBMIT_WHY_MAX 256

enum submit_result {
  SUBMIT_OK,        /* on disk, name included; id is set (0 when QMAILQUEUE took it) */
  SUBMIT_TEMPORARY, /* try later; why says what happened */
  SUBMIT_PERMANENT  /* the queue, or the QMAILQUEUE program, refuses this message */
};

struct submit {
  int fd;             /* the connection to queued, or -1 */
  int program;        /* 1 while a QMAILQUEUE program runs for this message */
  int pid;            /* of that program */
  int msgfd, envfd, textfd;
  int broken;         /* the first error of this message: an exit code of qmail-queue, or 0 */
  stralloc envelope;
  uint64_t id;        /* of the committed message */
  int code;           /* qmail-queue's exit code that stands for the result */
  char why[SUBMIT_WHY_MAX]; /* one line without newline; from a program: its own words */
  size_t pending;     /* bytes in buf */
  char buf[8192];
  /* What only submit.c looks at. */
  size_t frame;       /* where in buf the frame begins that is being filled; 0 none */
  unsigned int flags; /* of submit_open */
  int sent;           /* bytes of this message have left buf */
  int owed;           /* replies that queued will give and nobody has read */
  int mine;           /* those of them that are this message's */
  int kept;           /* the connection has carried a message before */
  uint64_t stored;    /* clock_ms of the last message that was stored over it, or 0 */
  uint64_t size;      /* of submit_open */
  int permanent;      /* a program said so in its text */
  size_t textlen;     /* bytes of a program's text in why */
};
#define SUBMIT_ZERO { .fd = -1, .pid = 0, .msgfd = -1, .envfd = -1, .textfd = -1, .envelope = STRALLOC_ZERO }

/* The same at run time, without touching buf. */
extern void submit_init(struct submit *s);

#define SUBMIT_USE_PROGRAM 1 /* flag: honour QMAILQUEUE */
#define SUBMIT_WAIT        2 /* flag: when queued is not there, wait SUBMIT_WAIT_SECONDS for it */
#define SUBMIT_WAIT_SECONDS 30

/* Would submit_open run a program? (Then smtpd writes its own Received line.) */
extern int submit_uses_program(void);

/* Begin a message. <size> is the size that was announced, 0 if unknown: queued
 * checks it against the free space (control/queuereserve). <trace> is what
 * stands between "Received: " and the semicolon, without line ends at its
 * edges ("from ... by ... with ESMTP"), believed by queued only from the SMTP
 * servers' account: it adds the id and the date. NULL: queued writes "by
 * <me> (pipit, from uid <n>)". 1, or 0 with code and why: temporary. The reply
 * of queued to the space check is not awaited here, but by submit_room. */
extern int submit_open(struct submit *s, unsigned int flags, uint64_t size, char const *trace);

/* Is there room? 1, or 0 when there is none or queued is gone (code, why). This
 * waits for queued's answer to the space check, unless the message is small (or
 * of a size that is not known) and one was stored over this connection less than
 * SUBMIT_ROOM_MS ago: then it is 1, and if that has changed, the commit tells.
 * Always 1 with a program. */
extern int submit_room(struct submit *s);
#define SUBMIT_ROOM_MS   1000
#define SUBMIT_ROOM_SIZE 65536 /* bytes of a small message */

extern void submit_message(struct submit *s, char const *bytes, size_t len);
/* Addresses go by length; a NUL inside makes the message fail with code 91,
 * one over QFILE_ADDR_MAX with 11. */
extern void submit_from(struct submit *s, char const *sender, size_t len);
extern void submit_to(struct submit *s, char const *rcpt, size_t len);
/* An X record; left out when a program takes the message. */
extern void submit_extra(struct submit *s, char const *name, char const *value, size_t len);

extern enum submit_result submit_commit(struct submit *s);
extern void submit_abort(struct submit *s);
extern void submit_close(struct submit *s);

/* Between two messages: forget all bytes of those that were, and keep the
 * connection. Of a struct that is not clean (a large envelope has moved through
 * memory on its way) something may be left elsewhere. */
extern int submit_is_clean(struct submit const *s);
extern void submit_wipe(struct submit *s);

/* What an exit code of qmail-queue means, as one line for SMTP without the
 * code of the reply: "4.3.0 ..." or "5.x.x ...". <*permanent> is set. */
extern char const *submit_code_text(int code, int *permanent);

#endif
