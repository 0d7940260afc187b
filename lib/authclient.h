/* authclient.h - ask whether somebody is who he says, and what he may do
 *
 * Two may know: a checkpassword program and what it executes, as qmail's servers have them on
 * their command line (a child of this process runs them); or pipit-authd (lib/authwire.h),
 * which makes failures cost time by address and login as well. A failure is logged, with one
 * line: by pipit-authd, or here.
 *
 * Functions wait, but no longer than AUTHWIRE_ANSWER_MS.
 */
#ifndef PIPIT_AUTHCLIENT_H
#define PIPIT_AUTHCLIENT_H

#include <signal.h>
#include <stddef.h>

#include "authwire.h"

#define AUTH_WHY_MAX 160

/* Who is to be asked. All zeros: pipit-authd. */
struct auth {
  char **checker;         /* a program and its arguments, ending with NULL; or NULL */
  int has_cram;           /* it can check responses to CRAM-MD5 and APOP */
  int challenge_first;    /* it gets the challenge before the response */
};

/* The client. */
struct auth_who {
  char const *ip;      /* as text; NULL or "" where it has none */
  char const *localip; /* our address, or NULL */
  enum authwire_service service;
  int tls;             /* it is behind TLS */
  int client;          /* start pipit-pop3d on this socket (pipit-authd only); -1: no */
  volatile sig_atomic_t const *stop; /* give up when it is set; or NULL */
};

struct auth_try {
  enum authwire_mechanism mechanism;
  char const *login, *secret, *extra; /* as in authwire.h; not NUL-terminated */
  size_t loginlen, secretlen, extralen;
};

enum auth_result {
  AUTH_OK,
  AUTH_NO,
  AUTH_DATA,   /* a message for the client, who has to answer it: auth_go_on */
  AUTH_LATER,  /* after so many seconds */
  AUTH_TROUBLE /* temporary; a line with the details is on stderr */
};

struct auth_answer {
  char login[AUTHWIRE_LOGIN_MAX + 1]; /* AUTH_OK: who it is */
  unsigned int seconds;               /* AUTH_LATER */
  char why[AUTH_WHY_MAX];             /* AUTH_TROUBLE: printable, without the login */
  size_t datalen;                     /* AUTH_DATA */
  char data[AUTHWIRE_SCRAM_MAX];
  int conversation;                   /* the connection to pipit-authd, or -1 */
};

/* Bits AUTHWIRE_HAS_. 0: nothing can be checked now. Of pipit-authd it is asked once in a second. */
extern unsigned int auth_mechanisms(struct auth const *a);

/* How a mechanism or a service is called in log lines. */
extern char const *auth_mechanism_name(enum authwire_mechanism m);
extern char const *auth_service_name(enum authwire_service s);

/* Check. AUTH_DATA comes for AUTHWIRE_SCRAM_SHA_256 only, of which <extra> is the client's first
 * message. After AUTH_OK with who->client the connection to pipit-authd is in
 * out->conversation: it ends with the session, and is the caller's to close. In <out> nothing
 * has to be set before. */
extern enum auth_result auth_check(struct auth const *a, struct auth_who const *w,
                                   struct auth_try const *t, struct auth_answer *out);

/* The client's answer s[0..len) to AUTH_DATA; or he will not go on. */
extern enum auth_result auth_go_on(struct auth_who const *w, struct auth_answer *out, char const *s,
                                   size_t len);
extern void auth_cancel(struct auth_answer *out);

/* May <login> send one message more, to so many recipients (control/loginlimits)? Then it
 * counts. AUTH_OK, AUTH_LATER, AUTH_NO (not even in an hour), AUTH_TROUBLE. Without the file
 * always AUTH_OK. */
extern enum auth_result auth_may_send(char const *login, unsigned int recipients,
                                      struct auth_answer *out);

/* Has this address logged in to POP or IMAP lately (control/relayopentime)? AUTH_OK, AUTH_NO,
 * AUTH_TROUBLE. Without the file always AUTH_NO. */
extern enum auth_result auth_is_open(char const *ip, struct auth_answer *out);

/* Write the line on a failure that fail2ban reads (pipit-log(7)). */
extern void auth_log_failure(char const *program, char const *ip, enum authwire_service service,
                             enum authwire_mechanism mechanism, char const *login, size_t loginlen);

#endif
