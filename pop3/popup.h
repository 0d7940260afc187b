/* popup.h - the AUTHORIZATION state of POP3 (RFC 1939, 4): who is it, and may he have his mail?
 *
 * Pipelined commands are never read further than the line at hand: what stands behind PASS is for
 * the program that gets the connection.
 */
#ifndef PIPIT_POP3_POPUP_H
#define PIPIT_POP3_POPUP_H

#include <signal.h>

#include "../smtpd/client.h"
#include "../smtpd/settings.h"
#include "../smtpd/smtpd.h"
#include "authclient.h"

#define POPUP_SECONDS  180 /* to log in; qmail-popup gives 1200 */
#define POPUP_FAILURES 3   /* of one session; then it ends */
#define POPUP_LINE_MAX 512 /* bytes of a command without its line end */

/* How all sessions of this process and its children check passwords: as <a> says, which has to
 * stay. Its checker gets the client on 0 and 1. <host> stands in greetings; or NULL: control/me.
 * <in_clear>: passwords are taken without TLS from everybody, not just from the networks of
 * control/authinclear. */
extern void popup_offer(struct auth const *a, char const *host, int in_clear);

/* Serve one client until somebody else has done so, or it is over. <*stop> asks to end soon; it may
 * be NULL. Static storage inside: one session at a time. */
extern enum served popup_serve(struct settings const *settings, struct client const *client, int in,
                               int out, volatile sig_atomic_t const *stop);

#endif
