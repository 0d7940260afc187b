/* submission.h - what pipit-ofmipd does in an SMTP session that pipit-smtpd does not
 *
 * Only called where mode.submission is set. There is one session at a time, so it has static storage.
 */
#ifndef PIPIT_OFMIPD_SUBMISSION_H
#define PIPIT_OFMIPD_SUBMISSION_H

#include <stddef.h>

#include "../smtpd/session.h"

/* Is the argument of the command line a name cdb, as mess822's ofmipd has it first, and not a host? */
extern int submission_is_names(char const *arg);

/* Complete the address of a MAIL or RCPT. 1, or 0 after a reply. */
extern int submission_complete(struct session *s, struct smtppath *p);

/* Replace s->sender, which the client may use, by what the name cdb says. 1, or 0 after a reply. */
extern int submission_sender(struct session *s);

/* The message, piece by piece, and its end: the header is kept in memory, mended and handed to the
 * queue, the body goes there as it comes. */
extern void submission_begin(struct session *s);
extern void submission_text(struct session *s, char const *text, size_t len);
extern void submission_end(struct session *s);

/* Is the message refused for its header? The code, or 0. */
extern unsigned int submission_refusal(char const **status, char const **text);

#endif
