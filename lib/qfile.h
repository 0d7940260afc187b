/* qfile.h - the queue's files: one per message, recycled
 *
 * A message file is a header of QFILE_HEADER bytes, the message (LF line ends
 * as given; the Received line first), the envelope. The envelope is
 *   F<sender>\0 [X<name>=<value>\0 ...] then for each recipient
 *   [X<name>=<value>\0 ...] T<rcpt>\0
 * X records after F concern the message, X records before a T concern that
 * recipient (body type, DSN parameters).
 *
 * Header, all numbers big-endian:
 *    0  8  magic "pipit-q\n"
 *    8  4  state word (QFILE_LIVE, QFILE_DONE, QFILE_BUSY); the only field that
 *          changes after the header was written, and in no sum
 *   12  4  version, 1
 *   16  8  id: microseconds since the epoch when it was given, unique
 *   24  8  birth: microseconds since the epoch by the wall clock
 *   32 16  nonce: random
 *   48  8  length of the message
 *   56  8  length of the envelope
 *   64  4  uid that handed the message in
 *   68  4  number of recipients
 *   72  4  CRC-32C of the nonce, the message and the envelope
 *   76  4  CRC-32C of bytes 12 to 76 of this header
 *   80 48  zero
 * The header lies in one disk sector and is written last, with QFILE_LIVE in
 * it. A file whose header does not hold was never acknowledged. Marking a file
 * is one pwrite of the state word: QFILE_DONE when the message is finished,
 * QFILE_BUSY when somebody, who has it locked, begins to write over it.
 *
 * Names: queue/mess/<n>/<id>, n = id mod the number of subdirectories. Finished
 * files wait in queue/free/<name>, the name being the id of a message that they
 * once held, and stay there when they are used again: a message that goes out at
 * once never moves, one that has to wait is moved to its name in mess/. Headers,
 * not names, say what is mail.
 */
#ifndef PIPIT_QFILE_H
#define PIPIT_QFILE_H

#include <stddef.h>
#include <stdint.h>

#define QFILE_HEADER    128
#define QFILE_NONCE     16
#define QFILE_LIVE      0x4c495645u /* "LIVE" */
#define QFILE_DONE      0x444f4e45u /* "DONE" */
#define QFILE_BUSY      0x42555359u /* "BUSY" */
#define QFILE_STATE_AT  8
#define QFILE_NAME_MAX  48   /* bytes of "mess/<n>/<id>" and the like, with the NUL */
#define QFILE_ADDR_MAX  1003 /* bytes of a record's address with its NUL, as in qmail-queue */
#define QFILE_MSG_MAX   ((uint64_t)1 << 40) /* bytes of a message: a header that says more is damaged */
#define QFILE_ENV_MAX   ((uint64_t)1 << 31) /* bytes of an envelope */

struct qfile {
  uint32_t state;
  uint64_t id;
  uint64_t birth;
  char nonce[QFILE_NONCE];
  uint64_t msglen;
  uint64_t envlen;
  uint32_t uid;
  uint32_t rcpts;
  uint32_t sum; /* of nonce, message, envelope: qfile_sum_* */
};

/* Write the header for <q> to out[0..QFILE_HEADER). */
extern void qfile_pack(char out[QFILE_HEADER], struct qfile const *q);

/* Read a header. 1, or 0 when it does not hold (magic, version, sum, lengths
 * over the limits above). */
extern int qfile_unpack(struct qfile *q, char const in[QFILE_HEADER]);

/* Read and check the header of the open file <fd>, and that the file is as
 * long as it says. 1; 0 when it does not hold; -1 with errno. */
extern int qfile_read(int fd, struct qfile *q);

/* Check message and envelope against the header's sum. 1; 0 damaged; -1 with errno. */
extern int qfile_check_body(int fd, struct qfile const *q);

/* Write the state word. 1, or 0 with errno. */
extern int qfile_mark(int fd, uint32_t state);

/* The running sum: start with the nonce, add message, then envelope. */
extern uint32_t qfile_sum_start(char const nonce[QFILE_NONCE]);
extern uint32_t qfile_sum_add(uint32_t sum, char const *s, size_t len);

/* "mess/<n>/<id>" (or "state/...") below queue/, for a queue with <split> subdirectories. */
extern void qfile_name(char out[QFILE_NAME_MAX], char const *dir, unsigned int split, uint64_t id);
/* Where a message lies: "free/<name>" when <name> is not 0, else "mess/<n>/<id>". */
extern void qfile_place(char out[QFILE_NAME_MAX], unsigned int split, uint64_t id, uint64_t name);
/* "free/<name>". */
extern void qfile_free_name(char out[QFILE_NAME_MAX], uint64_t name);
/* Read an id from a file name: decimal digits only, no leading zero, to the
 * end. 1, or 0 when <name> is no id. */
extern int qfile_scan_id(char const *name, uint64_t *id);

/* The number of subdirectories that the queue at <queuefd> has: the count of
 * consecutive mess/0, mess/1, ... 0 with errno when that cannot be told. */
extern unsigned int qfile_split(int queuefd);

#endif
