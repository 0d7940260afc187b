/* job.h - what send, lspawn, rspawn and the remote workers say to each other
 *
 * They talk over nameless SOCK_SEQPACKET socketpairs, one packet a message.
 *   J  a job, with exactly one descriptor: send -> lspawn -> worker, send -> rspawn -> worker
 *   W  the same, but it may wait behind one for its host that is under way: send -> rspawn
 *   M  a job for lspawn with the message itself, when that is small, and no descriptor
 *   N  a note on the result that follows for one recipient, the other way
 *   R  the result for one recipient of a job, the other way
 *   G  where a remote job goes: the name of the mail exchangers of best preference, before R
 *   C  it did not come to that, and why: before R, at most once
 *   T  how a remote job was sent, for the log: before R
 *   E  the job has ended: every recipient has its R, the descriptor is closed
 *   H  hello: how many jobs the sender of it takes at once (a spawner's first packet)
 *   A  ahead: how many more jobs may wait behind each of these; without it, none
 * Layouts (numbers big-endian):
 *   J num:4 id:8 offset:8 length:8 host\0 sender\0 {extra\0} \0 {rcpt\0}
 *   W as J
 *   M as J, then the <length> bytes of the message
 *   N num:4 index:4 note:1 text            note: P, the next hop has taken on the duty to tell
 *                                                of a success (RFC 3461, 5.2.1), or an alias
 *                                                has passed on that request (5.2.7)
 *                                                F, the success is the delivery itself (LMTP)
 *                                                L, it went to a mailing list: that is its delivery
 *                                                S, so far: what was done, before a failure; the
 *                                                text comes back with its next job
 *   R num:4 index:4 letter:1 text          letter: K, Z or D
 *   G num:4 name                            name: host,host,... sorted, in lower case;
 *                                                then :port where it is not 25
 *   C num:4 class:1 text                    class: JOB_HOST, _NAMES or _LOGIN; what R says as well
 *   T num:4 text                            text: printable ASCII, four words with a blank between
 *                                                them: version or "no", cipher or "-", what was verified of
 *                                                the certificate or "-" (lib/tlswire.h), why not
 *   E num:4
 *   H max:4
 *   A max:4
 * An extra is "name=value" for the message, or, behind "#<index>", for that
 * recipient (in the order of the recipients; those that have none are left out).
 * For lspawn the descriptor is a pipe out of which exactly <length> bytes come
 * and host is the recipient's domain; for rspawn and workers it is the message
 * file, open for reading only, and the message is [offset, offset + length).
 */
#ifndef PIPIT_JOB_H
#define PIPIT_JOB_H

#include <stddef.h>
#include <stdint.h>

#define JOB_PACKET_MAX 65536 /* bytes of a packet */
#define JOB_BODY_MAX   49152 /* bytes of a message that goes in one */
#define JOB_RCPTS_MAX  1000  /* recipients of a job */
#define JOB_TEXT_MAX   3000  /* bytes of a result's text; longer ones are cut */
#define JOB_GROUP_MAX  480   /* bytes of the name of mail exchangers, with what connections differ in */
#define JOB_TLS_MAX    240   /* bytes of the text of T */
#define JOB_SOFAR_MAX  544   /* bytes of the text of a note S: printable ASCII without blanks */

/* Extras that send adds: numbers, messages of one connection and seconds that it is kept idle; and
 * the name of the next hop that the host led to lately (of G, or of a relay: remote/route.h). A
 * connection to that may be used again, whichever host it was made for. */
#define JOB_CONNMESSAGES "CONNMESSAGES="
#define JOB_CONNIDLE     "CONNIDLE="
#define JOB_NEXTHOP      "NEXTHOP="
/* And the line of senderroutes that the job goes by, "" for none: a connection for the host may be
 * used again only where that is the same one. */
#define JOB_VIA "VIA="
/* And of a recipient; the envelope of a queue file cannot hold this name. */
#define JOB_SOFAR_NAME "+SOFAR"

#define JOB_HOST  'h' /* no connection, 421, or the connection died: nothing against the message */
#define JOB_NAMES 'n' /* the host's name or addresses could not be looked up now */
#define JOB_LOGIN 'l' /* the host does not let us log in: once is enough */

struct job {
  uint32_t num;    /* given by send, unique among the jobs in flight */
  uint64_t id;     /* of the message, for logs */
  uint64_t offset; /* where the message begins in fd */
  uint64_t length; /* bytes of the message */
  char const *host;
  char const *sender;
  char const *extras;  /* "name=value\0" ... "#0\0" "name=value\0" ... */
  size_t extraslen;
  char const *rcpts;   /* "rcpt\0" "rcpt\0" ... */
  size_t rcptslen;
  uint32_t nrcpts;
  int fd;              /* -1: there is none, but a body */
  int waits;           /* it may wait behind another one (W) */
  char const *body;    /* the message; NULL: it is in fd */
};

struct job_packet { /* one received packet */
  char type;       /* 'J' (also for W), 'M', 'N', 'R', 'G', 'C', 'T', 'E', 'H', 'A' */
  struct job job;  /* of J, M; its pointers lead into buf */
  uint32_t num;    /* of N, R, G, C, T, E */
  uint32_t index;  /* of N, R */
  char letter;     /* of N, R; the class of C */
  char const *text;
  size_t textlen;  /* of N, R, C, T; of G, whose name it is */
  uint32_t max;    /* of H, A */
  char buf[JOB_PACKET_MAX];
};

/* Send on a non-blocking socket: 1 sent, 0 would block, -1 with errno
 * (EMSGSIZE: the job is too large for a packet; EPIPE: nobody there). */
extern int job_send(int sock, struct job const *j);
extern int job_send_result(int sock, uint32_t num, uint32_t index, char letter, char const *text,
                           size_t textlen);
extern int job_send_note(int sock, uint32_t num, uint32_t index, char note);
extern int job_send_sofar(int sock, uint32_t num, uint32_t index, char const *text, size_t len);
extern int job_send_group(int sock, uint32_t num, char const *name, size_t len);
extern int job_send_class(int sock, uint32_t num, char class, char const *text, size_t len);
extern int job_send_tls(int sock, uint32_t num, char const *text, size_t len);
extern int job_send_end(int sock, uint32_t num);
extern int job_send_hello(int sock, uint32_t max);
extern int job_send_ahead(int sock, uint32_t max);

/* The text of the extra that begins with <name>, or "". */
extern char const *job_text(struct job const *j, char const *name);
/* Its number, or <otherwise>. */
extern uint32_t job_number(struct job const *j, char const *name, uint32_t otherwise);

/* Receive: 1 and <*p> (a descriptor in p->job.fd is close-on-exec, and the
 * caller's to close), 0 would block, -1 with errno (EPIPE at the end of the
 * stream, EPROTO for a packet that is not one of the above, or has another
 * number of descriptors; those are closed). The letter of a result is given
 * as it came: a caller treats a wrong one as a mangled report. */
extern int job_recv(int sock, struct job_packet *p);

/* The same, but wait for a packet: never 0. */
extern int job_wait(int sock, struct job_packet *p);

/* The notes. Only the last one has a text. */
#define JOB_PASSED 'P'
#define JOB_FINAL  'F'
#define JOB_LISTED 'L'
#define JOB_SOFAR  'S'

/* The extras of the message alone, or of one recipient: where they begin, and their bytes in
 * <*len>. For recipients in their order, begin with <*pos> 0. */
extern char const *job_message_extras(struct job const *j, size_t *len);
extern char const *job_rcpt_extras(struct job const *j, uint32_t index, size_t *pos, size_t *len);

#endif
