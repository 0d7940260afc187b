/* tlsclient.h - ask pipit-tlsd for a session (lib/tlswire.h)
 *
 * Times are clock_ms()'s. <why> of a failure is one line.
 */
#ifndef PIPIT_TLSCLIENT_H
#define PIPIT_TLSCLIENT_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "tlswire.h"

#define TLSCLIENT_WHY_MAX   200
#define TLSCLIENT_ANSWER_MS 5000 /* for pipit-tlsd to answer a request */
#define TLSCLIENT_STEP_MS   1000 /* how late a request to stop may be noticed */

enum tlsclient_result {
  TLSCLIENT_LOST,  /* pipit-tlsd is not there, or has no session: nobody else's fault */
  TLSCLIENT_OK,
  TLSCLIENT_PLAIN, /* of a request: TLS of this server has failed lately */
  TLSCLIENT_PEER   /* of a handshake: the peer has failed */
};

struct tlsclient {
  int control; /* -1: none */
  int plain;   /* the plain text, once a request was made; else -1 */
  char why[TLSCLIENT_WHY_MAX];
};
#define TLSCLIENT_NONE { .control = -1, .plain = -1 }

struct tlsclient_facts { /* printable ASCII; all but the fourth are words */
  char protocol[32];
  char cipher[64];
  char third[256], fourth[256];
};

/* Does anybody listen on the socket <path> of the home? 1, or 0 with errno. */
extern int tlsclient_is_there(char const *path);

/* Ask over <path> for a session with the peer of the socket <net>: the request <q>, and behind it
 * s[0..len). Not a byte goes to the peer. Never TLSCLIENT_PEER. */
extern enum tlsclient_result tlsclient_ask(struct tlsclient *t, char const *path, int net,
                                           struct tlswire_request const *q, char const *s,
                                           size_t len);

/* Ask over t->control, where a session with a TLS client was, for one with the next: 1; 0 where nobody there
 * waits for that, and <t> is ended. */
extern int tlsclient_ask_again(struct tlsclient *t, int net, struct tlswire_request const *q);

/* Have the handshake done, until <end>. <*stop> ends the wait; it may be NULL. Never TLSCLIENT_PLAIN. */
extern enum tlsclient_result tlsclient_begin(struct tlsclient *t, struct tlsclient_facts *f,
                                             uint64_t end, volatile sig_atomic_t const *stop);

/* The session is over, with not a byte from the server, and the plain text was closed: was that the
 * server? 1 and <why>; or 0. May take until <end>. */
extern int tlsclient_blames_peer(struct tlsclient *t, uint64_t end);

/* The server has refused to begin. */
extern void tlsclient_refused(struct tlsclient *t);

/* Close what is open. Does nothing where nothing is. */
extern void tlsclient_end(struct tlsclient *t);

/* Wait until there is something to read from <fd>, or an end. 1; 0 and <why>. */
extern int tlsclient_await(int fd, uint64_t end, volatile sig_atomic_t const *stop,
                           char why[TLSCLIENT_WHY_MAX]);

/* Copy a value that strangers may have a part in, as facts are copied: with '?' for what is not printable
 * ASCII, or is in <unwanted>. A word may stand anywhere, a text in the log only. */
#define TLSCLIENT_WORD " ()\\"
#define TLSCLIENT_TEXT ""
extern void tlsclient_keep(char *to, size_t size, char const *from, char const *unwanted);

#endif
