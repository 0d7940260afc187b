/* conn.h - a connection to a server: commands out, replies in, nobody waited for forever
 *
 * Times are in seconds; none passes conn.limit. The caller has called
 * tain_now_set_stopwatch_g(). A reply with code 421 ends a connection wherever
 * it comes (RFC 5321, 3.8).
 */
#ifndef PIPIT_REMOTE_CONN_H
#define PIPIT_REMOTE_CONN_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/tai.h>

#include "find.h"
#include "job.h"
#include "peerlimits.h"
#include "smtpreply.h"

#define CONN_BUFFER   4096 /* bytes that are read at once */
#define CONN_NAME_MAX ROUTE_PATH_MAX /* an address has room there */

enum conn_status {
  CONN_OK,
  CONN_DIED, /* closed or broken by the other side */
  CONN_TIMEOUT,
  CONN_MALFORMED, /* a reply that is none, or one that nothing was asked for */
  CONN_421,       /* c->reply has it */
  CONN_EARLY      /* of a message only: a reply came before its end; c->reply has it */
};

struct conn {
  int fd; /* -1: not connected */
  tain limit;
  int lmtp;                           /* LMTP is spoken (RFC 2033), not SMTP */
  char name[CONN_NAME_MAX];           /* of the other side, for texts */
  unsigned int port;
  char host[DNS_NAME_MAX];            /* its name, or "" */
  int pipelining, eightbitmime, size, dsn, starttls, login; /* what it offered to EHLO */
  char tls[JOB_TLS_MAX + 1];          /* what is spoken (job.h, T), or "" */
  int auth;                           /* mechanisms to log in, the same (authcwire.h) */
  int secure;                         /* TLS is spoken */
  uint64_t sizelimit;                 /* 0: none is known */
  struct peerlimits limits;           /* 0: none is known */
  unsigned int messages;              /* transactions that were begun */
  int dirty;                          /* RSET must come before the next one */
  int ahead;                          /* commands were sent whose replies nobody waited for yet */
  struct smtpreply reply;             /* the last one */
  size_t inpos, inlen;
  char in[CONN_BUFFER];
};

/* A reply has come: the <i>th of a group, in c->reply. 1 go on, 0 it makes no
 * sense here (CONN_MALFORMED). */
typedef int conn_reply_func(void *arg, size_t i, struct smtpreply const *reply);

/* Is it encrypted? */
extern int conn_is_secure(struct conn const *c);

/* What is spoken, for texts. */
extern char const *conn_protocol(struct conn const *c);

/* Connect. 1, or 0 with errno (ETIMEDOUT, ECONNREFUSED, ...). Where it cannot be done from the
 * place's address, that one is c->name, with EADDRNOTAVAIL. */
extern int conn_open(struct conn *c, struct place const *p, unsigned int seconds);
extern void conn_close(struct conn *c);

/* From here on the plain text goes over the socket <plain>, which stays the caller's: all that was
 * read or learnt is forgotten. 1, or 0 with errno. */
extern int conn_secure(struct conn *c, int plain);

/* Send out[0..len), and read <replies> replies, reading while writing so that
 * no two full buffers can wait for each other. Each reply may take <seconds>. */
extern enum conn_status conn_exchange(struct conn *c, char const *out, size_t len, size_t replies,
                                      unsigned int seconds, conn_reply_func *f, void *arg);

/* Send the end of a message, text[0..len), and behind it commands that need not
 * wait for the replies to it (RFC 2920, 3.1), ahead[0..*aheadlen), in one write if the
 * network takes it; read those <replies>. <*aheadlen> becomes the number of bytes of
 * <ahead> that were sent by then; the next conn_exchange is to send the rest, and
 * reads their replies. Writing may stand still for <block> seconds, each reply take
 * <seconds>. */
extern enum conn_status conn_end(struct conn *c, char const *text, size_t len, char const *ahead,
                                 size_t *aheadlen, size_t replies, unsigned int block,
                                 unsigned int seconds, conn_reply_func *f, void *arg);

/* Send bytes of a message; every write may take <seconds>. */
extern enum conn_status conn_write(struct conn *c, char const *out, size_t len,
                                   unsigned int seconds);

#endif
