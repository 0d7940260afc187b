/* queuewire.h - what is said on run/queue, between lib/submit.c and pipit-queued
 *
 * A frame is a type (1 byte), the length of the payload (4 bytes, big-endian)
 * and the payload. One connection carries message after message:
 *
 *   client  O size:8 trace   open; size as announced, 0 if unknown; trace as in submit.h,
 *                            may be empty
 *           D bytes          a piece of the message, any number of times
 *           E bytes          a piece of the envelope (qfile.h), after the last D
 *           .                commit
 *           A                abort: the message is thrown away; no reply
 *   queued  K/Z/D code:1 text
 *                            success, temporary, permanent; the exit code of
 *                            qmail-queue that says the same; a line for people
 *
 * O is answered with the outcome of the space check, '.' with the outcome of
 * the message: K, 0 and the id in decimal when it is on disk. After an error
 * queued goes on reading to the commit, and answers that with the error again.
 * A connection that cannot be served gets one Z before anything was asked, and
 * is closed. Whatever ends before the reply to its commit was never queued, or
 * is queued and may be handed in again.
 */
#ifndef PIPIT_QUEUEWIRE_H
#define PIPIT_QUEUEWIRE_H

#define QUEUEWIRE_SOCKET "run/queue" /* below the home */

#define QUEUEWIRE_HEAD      5       /* bytes of type and length */
#define QUEUEWIRE_FRAME_MAX 1048576 /* bytes of the payload of a D or an E */
#define QUEUEWIRE_OPEN_HEAD 8       /* bytes of an O's payload before the trace */
#define QUEUEWIRE_TRACE_MAX 2000    /* bytes of a trace */
#define QUEUEWIRE_TEXT_MAX  255     /* bytes of a reply's text */
#define QUEUEWIRE_REPLY_MAX (QUEUEWIRE_HEAD + 1 + QUEUEWIRE_TEXT_MAX)

#define QUEUEWIRE_OPEN     'O'
#define QUEUEWIRE_DATA     'D'
#define QUEUEWIRE_ENVELOPE 'E'
#define QUEUEWIRE_COMMIT   '.'
#define QUEUEWIRE_ABORT    'A'

/* Exit codes of qmail-queue that pipit's own queue uses. */
#define QQ_OK        0
#define QQ_TOO_LONG  11 /* an address over QFILE_ADDR_MAX */
#define QQ_REFUSED   31
#define QQ_NOMEM     51
#define QQ_TIMEOUT   52
#define QQ_WRITE     53 /* write error, disk full */
#define QQ_READ      54 /* read error, truncated envelope */
#define QQ_CONFIG    55
#define QQ_HOME      61
#define QQ_MESS      64 /* no file can be made in queue/mess */
#define QQ_TEMPORARY 71
#define QQ_SLOW      72 /* queued did not answer in time */
#define QQ_LOST      74 /* queued went away */
#define QQ_BUG       81
#define QQ_CUSTOM    82 /* from a QMAILQUEUE program: its own text */
#define QQ_CUSTOM2   88
#define QQ_FORMAT    91 /* envelope format */
#define QQ_ADDRESS2  115 /* as 11 */
#define QQ_NOEXEC    120

/* Codes that say that the same message will never be taken; all others are temporary. */
#define QQ_IS_PERMANENT(code) (((code) >= 11 && (code) <= 40) || (code) == QQ_ADDRESS2)

#endif
