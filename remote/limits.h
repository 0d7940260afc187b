/* limits.h - every limit and time of a remote delivery, in one place */
#ifndef PIPIT_REMOTE_LIMITS_H
#define PIPIT_REMOTE_LIMITS_H

/* Seconds that a server gets at each stage: the least that RFC 5321, 4.5.3.2
 * asks a client to wait. control/timeoutremote can only make them shorter. */
#define STAGE_GREETING 300
#define STAGE_HELO     300
#define STAGE_TLS      60  /* the handshake; RFC 3207 names no time */
#define STAGE_ENVELOPE 300 /* each reply to MAIL and RCPT */
#define STAGE_DATA     120
#define STAGE_BLOCK    180 /* while a block of the message is written */
#define STAGE_END      600
#define STAGE_QUIT     5 /* nothing depends on this one */

#define FIND_SECONDS 600  /* over all addresses, until a server is ready for MAIL */
#define JOB_SECONDS  3600 /* for a whole job, and ... */
#define JOB_RATE     500  /* ... one second more for so many bytes of the message */
#define JOB_GRACE    60   /* after that the worker is taken for hung, and killed */

#define TIMEOUT_CONNECT 60   /* default of control/timeoutconnect */
#define TIMEOUT_REMOTE  1200 /* default of control/timeoutremote */

#define MX_HOSTS_MAX 20 /* hosts of a domain that are looked at, the preferred ones first */
#define PLACES_MAX   20 /* addresses that are tried in one attempt */

#define MESSAGES_MAX 100  /* on one connection: default of control/connectionmessages */
#define IDLE_SECONDS 3    /* that it is kept without a job: default of control/connectionidle */
#define IDLE_MAX     3600 /* the most seconds that may be set */
#define SPLITS_MAX   20   /* further transactions of a job for those that were too many for one */

#define SMTP_PORT 25
#define LMTP_PORT 24 /* "any private mail system" */

#endif
