/* perform.h - one delivery, from the look at the home to the last forward
 *
 * Whatever goes wrong ends the process, with the text on descriptor 2 and the
 * exit code of pipit-local(8). A process that carries out several deliveries
 * begins each with nothing of the one before: struct, directory, environment.
 *
 * Lines that an earlier attempt was through with are not followed again, but counted; so that a
 * later attempt can do the same, what is done is told as it goes.
 */
#ifndef PIPIT_PERFORM_H
#define PIPIT_PERFORM_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#include "delivery.h"
#include "dotqmail.h"
#include "forward.h"
#include "maildir.h"
#include "message.h"
#include "progress.h"
#include "report.h"

#define PERFORM_SUMMARY_MAX (REPORT_MAX + 128) /* bytes */

struct perform {
  int describe; /* only say what would be done */
  int mailbox;  /* no dot-qmail file is looked for: the default delivery is all there is to do */
  struct maildir_how maildir;
  void (*tell)(void *data, char const *text, size_t len); /* keep this progress; or NULL */
  void *data;
  struct wishes wishes;
  struct progress progress;
  struct delivery d;
  struct message m;
  struct dotqmail q;
  stralloc newsender; /* NUL-terminated: the sender of forwards */
  int list;           /* that is the owner of a list */
  struct report r;
  size_t files, programs, forwards; /* done */
  uint64_t qp;                      /* of the forwards */
  int passed;                       /* who has the forwards now knows the sender's wishes */
};

/* Prepare a process that delivers: it may not be root's, and its memory and its life are limited. */
extern void perform_confine(void);

/* The delivery is for a mailbox: no dot-qmail file, and a Maildir that is made where it is missing. */
extern void perform_mailbox(struct perform *p);

/* How much the Maildir may hold: "bytesS,messagesC" or "bytes". */
extern void perform_quota(struct perform *p, char const *text);

/* Go home and find out what is to be done. <p> is empty but for the fields before <d>;
 * args[0..DELIVERY_ARGS) and the wishes must live as long as it. */
extern void perform_begin(struct perform *p, char const *const *args);

/* Do it with the message data[0..length), or where that is NULL with the one on
 * <fd>, of <length> bytes (COPY_ALL: up to its end). */
extern void perform_deliver(struct perform *p, char const *data, int fd, uint64_t length);

/* Write what would be done to descriptor 1. */
extern void perform_describe(struct perform const *p);

/* "did F+W+P\n", "qp ID\n" after forwards, and what is to be said about an mbox; the length is
 * returned. */
extern size_t perform_summary(struct perform const *p, char out[PERFORM_SUMMARY_MAX]);

/* Was it nothing but one Maildir or mbox? Then the process is as it was before. */
extern int perform_was_plain(struct perform const *p);

/* Where do the sender's questions about delivery end? A note of lib/job.h, or 0: here. */
extern char perform_note(struct perform const *p);

extern void perform_free(struct perform *p);

#endif
