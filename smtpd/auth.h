/* auth.h - AUTH of SMTP (RFC 4954): who may use it, and what comes of it
 *
 * It is offered where auth_offer was called; in clear only to the networks of control/authinclear.
 * A client that has logged in may relay, with the addresses that control/senders gives it.
 */
#ifndef PIPIT_SMTPD_AUTH_H
#define PIPIT_SMTPD_AUTH_H

#include <stddef.h>

#include "authclient.h"

#define AUTH_FAILURES 3 /* of one session; then it ends */

struct session;
struct smtppath;

/* From here on, all sessions of this process and its children offer AUTH. <a> has to stay.
 * <required>: without login, or RELAYCLIENT, no mail is taken. */
extern void auth_offer(struct auth const *a, enum authwire_service service, int required);
/* Does it take a program that sessions must be able to execute? */
extern int auth_runs_program(void);
extern int auth_is_offered(void);

/* For EHLO: "250-AUTH PLAIN LOGIN\r\n"; or "" where AUTH is of no use now. */
#define AUTH_EHLO_MAX 96
extern void auth_ehlo(struct session *s, char out[AUTH_EHLO_MAX]);

/* Answer the command AUTH with its argument. */
extern void auth_command(struct session *s, char const *arg, size_t len);

/* May the client use MAIL with this sender? 1, or 0 after a reply. */
extern int auth_may_mail(struct session *s, struct smtppath const *p);

/* May it send a message now, to s->nrcpts recipients? If so it counts. 1, or 0 after a reply. */
extern int auth_may_send_now(struct session *s);

/* May the client relay, because its address has logged in to POP or IMAP lately? Asked once in
 * a session. */
extern int auth_address_may_relay(struct session *s);

/* Nobody has logged in. */
extern void auth_forget(struct session *s);

#endif
