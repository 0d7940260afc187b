/* tls.h - TLS for a client's connection, which others speak for us
 *
 * pipit-tlsd does (lib/tlswire.h), or the server that has started us, by UCSPI-TLS: SSLCTLFD,
 * SSLREADFD and SSLWRITEFD are numbers of descriptors. Either way <in> and <out> carry the
 * plain text afterwards.
 */
#ifndef PIPIT_SMTPD_TLS_H
#define PIPIT_SMTPD_TLS_H

#include <signal.h>
#include <stdint.h>

#include "tlsclient.h"

#define TLS_WHY_MAX      TLSCLIENT_WHY_MAX
#define TLS_CHECK_MS     1000  /* how long what tls_is_there found out holds */
#define TLS_END_MS       12000 /* more than pipit-tlsd takes for the end */
#define TLS_HANDSHAKE_MS 60000 /* for a handshake, at most */

/* What is known of a connection, for log and Received lines: printable ASCII without spaces and
 * parentheses, which only the subject may have; that is for the log. */
struct tls {
  int on;
  char protocol[32]; /* "TLSv1.3"; may be "" */
  char cipher[64];
  char name[256];    /* that the client asked for, or "" */
  char subject[256]; /* of its certificate, or "" */
};

struct tls_offer {
  int control; /* to whom will do it; -1: none */
  int ucspi;
  int in, out; /* the plain text */
  char why[TLS_WHY_MAX]; /* of the last failure; one line */
};
#define TLS_OFFER_NONE { .control = -1, .in = -1, .out = -1 }

/* What follows concerns a client at <ip>. Where the last one had the same address, pipit-tlsd's process
 * for it may serve this one as well; NULL, or when this is never called: none ever does. */
extern void tls_again(char const *ip);

/* Can TLS be offered on this connection? Of pipit-tlsd this is asked once in TLS_CHECK_MS. */
extern int tls_is_there(int in, int out);

/* Get all ready, without a byte on the connection: 1; or 0 and why. */
extern int tls_prepare(struct tls_offer *o, int in, int out, uint32_t limit_ms);

/* Have the handshake done, within so many milliseconds: 1 and what is known; <in> and <out>
 * are other descriptions now. 0 and why: the connection is lost. <*stop> ends the wait; it
 * may be NULL. Either way the offer is used up. */
extern int tls_handshake(struct tls_offer *o, struct tls *t, int in, int out, uint32_t limit_ms,
                         volatile sig_atomic_t const *stop);

extern void tls_cancel(struct tls_offer *o);

/* The session on <in> is over, and no other follows: end it (<on>: it was over TLS). After a handshake
 * that failed, which costs a client nothing, and where its process might have served another session, wait
 * until that is through with the client, who may be slow to take what is left: he is to have a place in
 * concurrencysmtpdclient as long as he has one in concurrencytlsd. */
extern void tls_await_end(int in, int on);

/* The variables of UCSPI-TLS concern one client: forget them. */
extern void tls_forget_ucspi(void);

#endif
