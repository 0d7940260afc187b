/* keeper_link.h - what send and its keeper say to each other
 *
 * Packets over a SOCK_SEQPACKET socketpair. To the keeper: type:1 seq:8 id:8
 * place:8 nonce:16 data, place being the name in free/ under which the message
 * lies, 0 when it lies in mess/. The keeper's process ends at the end of the
 * stream, after it has put everything on disk.
 *   R  progress: data is a payload for the state file (state.h)
 *   F  every recipient is finished: make an end of it, with a report to its
 *      sender when data is one byte 1; answered by E or T
 *   W  some recipients are late: tell its sender; not answered, and done again
 *      after the next attempt when it did not come to that
 *   C  check the message against its sum; answered by O or B
 *   D  the message is damaged: set it aside; answered by B
 *   V  look at a file: data is its path below queue/; N when it is mail
 *   S  look through the pool now
 *   H  change what is held (hold.h): data is + or -, a kind, a value; answered by H
 *   Q  put all that was said on disk now: somebody waits for A
 * From the keeper: type:1 id:8 num:8
 *   Y  the journal is worked in: scanning may begin
 *   A  everything up to seq num is on disk
 *   E  ended: the file is marked finished
 *   T  could not be ended now; ask again later
 *   O  the body is whole
 *   B  the message was damaged and is in bad/ now, or is gone
 *   N  mail, under its right name now
 *   H  the change of seq num is on disk, or (id is not 0, but an errno) could not be made
 * send keeps each packet until A has covered it, and says it again to the next
 * keeper when one dies; to hear a thing twice does no harm.
 */
#ifndef PIPIT_SEND_KEEPER_LINK_H
#define PIPIT_SEND_KEEPER_LINK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <skalibs/stralloc.h>

#include "qfile.h"

#define KEEPER_PACKET_MAX  16384
#define KEEPER_HEAD        41 /* bytes before the data */
#define KEEPER_REPLY       17
#define KEEPER_BACKLOG_MAX 8388608 /* bytes kept: over it, no delivery is started */

struct keeper_link {
  int fd; /* -1: no keeper now */
  pid_t pid;
  uint64_t seq;     /* of the last packet */
  uint64_t covered; /* everything up to this one is on disk */
  stralloc kept;   /* packets: len:4 packet ... */
  size_t first;    /* where those begin that are not on disk */
  size_t unsent;   /* where those begin that were not sent */
  int blocked;     /* the socket is full */
};
#define KEEPER_LINK_ZERO { .fd = -1, .kept = STRALLOC_ZERO }

struct keeper_reply {
  char type;
  uint64_t id;
  uint64_t num;
};

/* Say something, now or as soon as the socket takes it. The packet's seq, or 0
 * with ENOMEM or EMSGSIZE. */
extern uint64_t keeper_say(struct keeper_link *k, char type, uint64_t id, uint64_t place,
                           char const *nonce, char const *data, size_t len);
/* Send what the socket takes. */
extern void keeper_push(struct keeper_link *k);
/* Forget everything up to <seq>. */
extern void keeper_covered(struct keeper_link *k, uint64_t seq);
/* The next answer: 1, 0 would block, -1 the keeper is gone. */
extern int keeper_hear(struct keeper_link *k, struct keeper_reply *r);
/* Bytes of packets that are not on disk. */
extern size_t keeper_backlog(struct keeper_link const *k);
/* A new keeper listens at <fd>: begin again with the first packet kept. */
extern void keeper_attach(struct keeper_link *k, int fd, pid_t pid);
extern void keeper_detach(struct keeper_link *k);

#endif
