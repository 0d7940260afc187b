/* sasl.h - the server's side of AUTH, as SMTP (RFC 4954) and POP3 (RFC 5034) have it
 *
 * PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195) and SCRAM-SHA-256 (RFC 7677), of which the messages
 * go on to pipit-authd unread. Who is asked, and who logs failures, is told in authclient.h.
 */
#ifndef PIPIT_SASL_H
#define PIPIT_SASL_H

#include <stddef.h>

#include "authclient.h"
#include "base64.h"

#define SASL_LINE_MAX  12288 /* bytes of a line of base64, with its line end (RFC 4954, 4) */
#define SASL_NAMES_MAX 64
#define SASL_HOST_MAX  255   /* bytes of a host's name that are used */

enum sasl_result {
  SASL_CONTINUE,  /* send s->challenge, and give the next line to sasl_continue */
  SASL_OK,        /* s->answer.login is who it is */
  SASL_REFUSED,
  SASL_LATER,     /* too many failures: s->answer.seconds */
  SASL_TROUBLE,   /* temporary: s->answer.why */
  SASL_CANCELLED, /* the client sent "*" */
  SASL_MALFORMED, /* not base64, or not what the mechanism wants */
  SASL_UNKNOWN    /* no such mechanism here */
};

struct sasl {
  struct auth const *auth;
  struct auth_who who;
  struct auth_try try;
  unsigned int step;
  size_t loginlen;
  char login[AUTHWIRE_LOGIN_MAX];
  size_t sentlen;            /* CRAM-MD5: what the challenge says */
  char sent[SASL_HOST_MAX + 64];
  size_t challengelen;       /* in base64, without a line end; may be 0 */
  char challenge[BASE64_LEN(AUTHWIRE_SCRAM_MAX)];
  struct auth_answer answer;
};

/* Write the names of the mechanisms in <set> (bits of authwire.h), each with a space before it;
 * the length. "" where there are none. */
extern size_t sasl_names(char out[SASL_NAMES_MAX], unsigned int set);

/* Begin with mechanism name[0..len). <initial> is the initial response in base64, as it stands in
 * the command ("=": an empty one), or NULL. <host> is our name. <*s> needs no preparation;
 * <auth>, and what <who> points to, have to stay. */
extern enum sasl_result sasl_begin(struct sasl *s, struct auth const *auth,
                                   struct auth_who const *who, char const *host, char const *name,
                                   size_t len, char const *initial, size_t initiallen);

/* Take the client's next line, without its line end. */
extern enum sasl_result sasl_continue(struct sasl *s, char const *line, size_t len);

/* After SASL_CONTINUE: the client is gone. */
extern void sasl_cancel(struct sasl *s);

#endif
