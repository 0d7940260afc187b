/* session.h - one SMTP session: what the modules of pipit-smtpd share
 *
 * session.c reads commands and ends the session; commands.c answers them,
 * params.c reads the parameters of MAIL and RCPT;
 * starttls.c puts the session behind TLS, auth.c lets clients log in;
 * receive.c is DATA, from 354 to the answer after the dot; rules.c says who may
 * send to whom, recipient.c whether there is such a recipient; log.c writes the lines.
 */
#ifndef PIPIT_SMTPD_SESSION_H
#define PIPIT_SMTPD_SESSION_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#include "authwire.h"
#include "client.h"
#include "dsn.h"
#include "settings.h"
#include "smtppath.h"
#include "stream.h"
#include "submit.h"
#include "tls.h"

#define SESSION_ID_MAX 48
#define SESSION_HOPS   100 /* Received and Delivered-To fields that a message may not reach */
#define SESSION_RCPTS_ROOM 4096 /* bytes of recipients that do not move when more come */

struct cdbmap;

enum queue_state { QUEUE_CLOSED, QUEUE_OPEN, QUEUE_AWAY };

/* What stands before <client> lives as long as the process. */
struct session {
  unsigned int number;     /* of the process's sessions */
  struct submit submit;
  stralloc rcpts;          /* as in an envelope: X records, and T for each recipient */
  struct client client;
  struct settings const *settings;
  char id[SESSION_ID_MAX];
  unsigned long databytes; /* 0: no limit */
  unsigned long brtlimit;  /* 0: no limit */
  int mend;                /* the client's line ends are mended: control/normalizeclients */

  char helo[CLIENT_HELO_MAX + 1];
  int esmtp;               /* EHLO was said */
  struct tls tls;          /* what is known of it, once it is on */
  unsigned long errors;    /* commands refused, in all */
  unsigned long in_a_row;  /* and since the last accepted message */
  unsigned long unknown;   /* recipients refused because they do not exist */
  unsigned long messages;  /* accepted */
  unsigned long auth_failures;
  char login[AUTHWIRE_LOGIN_MAX + 1]; /* who has logged in, or "" */
  struct {
    char const *relay, *info;
  } before_login;          /* of the client */
  int asked_open;          /* whether the client's address may relay */
  char ended[TLS_WHY_MAX + 32]; /* room for <end> */
  char const *end;         /* why the session is over, or NULL while it is not */
  int linger;              /* the client may still be sending: see stream_linger */
  int orderly;             /* it was the client who ended it, between two messages */

  int has_sender;          /* a transaction is open */
  int bad_sender;          /* listed in badmailfrom */
  int eightbit;            /* BODY=8BITMIME */
  uint64_t size;           /* SIZE=, or 0 */
  enum dsn_ret ret;        /* RET= */
  size_t envidlen;         /* ENVID=, or 0 */
  char envid[DSN_ENVID_MAX];
  size_t senderlen;
  char sender[ADDRESS_MAX];
  unsigned long nrcpts;
  int too_many_logged;

  struct cdbmap *morercpthosts;
  int morercpthosts_open;  /* 1 it was tried */
  enum queue_state queue;  /* of this transaction */
  struct stream io;
};

/* Serve one client on <in> and <out> until it is over. <*stop> asks to end
 * soon; it may be NULL. Static storage inside: one session at a time. <again>:
 * there may be another later. Then 1 when that is so: the session ended in good
 * order, and nothing that its client sent is left in memory, but the connection
 * to the queue stays. */
extern int session_serve(struct settings const *settings, struct client const *client, int in,
                         int out, volatile sig_atomic_t const *stop, int again);

/* Answer with one line. <status> is the enhanced code (RFC 3463), or "" where
 * none belongs. Codes from 500 count as errors. */
extern void session_reply(struct session *s, unsigned int code, char const *status,
                          char const *text);

/* Answer 421 or 554 and end the session; <why> goes into the log. */
extern void session_close(struct session *s, unsigned int code, char const *status,
                          char const *text, char const *why);

/* End the session: the client has sent text behind DATA without waiting for 354.
 * Where there was no 354, that holds for every client: text is not to be read as commands. */
extern void session_no_text(struct session *s);

/* End the session for what a read or a write has met. */
extern void session_lost(struct session *s, enum stream_result r);

/* Read a line of at most <max> bytes with its line end, which is then taken off; it is good until
 * the next read. SESSION_LINE_LONG: it was longer, and is lost. SESSION_LINE_NONE: the session has
 * ended. */
enum session_line { SESSION_LINE, SESSION_LINE_LONG, SESSION_LINE_NONE };
extern enum session_line session_read_line(struct session *s, size_t max, char **line, size_t *len);

/* Has the client sent what it may send only after our answer? Who may relay
 * may: scripts pipe whole dialogues into sendmail -bs. */
extern int session_is_ahead(struct session *s);

/* Forget the transaction. */
extern void session_reset(struct session *s);

/* commands.c: answer one command line, s[0..len) without its line end. */
extern void command(struct session *s, char const *line, size_t len);

/* params.c: take the parameters behind the path, from arg[pos]. 1, or 0 after a reply. */
struct rcpt_params {
  unsigned int notify; /* lib/dsn.h; 0: not given */
  char const *orcpt;   /* in the argument, or NULL */
  size_t orcptlen;
};
extern int params_mail(struct session *s, char const *arg, size_t len, size_t pos);
extern int params_rcpt(struct session *s, struct rcpt_params *p, char const *arg, size_t len,
                       size_t pos);
/* Are the parameters of RFC 3461 taken? A QMAILQUEUE program could not be given them. */
extern int params_has_dsn(void);

/* starttls.c: do STARTTLS; do TLS at once. What is said afterwards is said over it. */
extern void starttls_command(struct session *s);
extern void starttls_on_connect(struct session *s);

/* receive.c: begin a message at the queue (once there is a recipient); DATA. */
extern void receive_open(struct session *s);
extern void receive_data(struct session *s);

/* rules.c */
enum verdict { RULE_YES, RULE_NO, RULE_TROUBLE };
/* May mail to <p> come in? RULE_TROUBLE: control/morercpthosts.cdb cannot be read. */
extern enum verdict rules_rcpt(struct session *s, struct smtppath const *p);
extern int rules_sender_is_bad(struct session const *s, struct smtppath const *p);
/* Replace box@[one of our addresses] by box@localiphost. 1; 0 when the result
 * is too long; -1 when our addresses cannot be told. */
extern int rules_localip(struct session const *s, struct smtppath *p);

/* log.c: <kind> is "accepted", "refused" or "deferred"; <id> 0 when there is none. */
extern void log_message(struct session const *s, char const *kind, uint64_t id, uint64_t octets,
                        unsigned int code, char const *reply, char const *detail);
/* A refused MAIL or RCPT; <rcpt> is NULL for MAIL. */
extern void log_refused(struct session const *s, char const *rcpt, size_t len, unsigned int code,
                        char const *reply);
extern void log_end(struct session const *s);
/* A line on trouble of ours. */
extern void log_trouble(char const *why);

#endif
