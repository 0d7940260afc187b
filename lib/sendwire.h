/* sendwire.h - what is said on queue/lock/control, between the tools and pipit-send
 *
 * A SOCK_SEQPACKET socket; one packet is one thing said, and its length that of
 * the packet. A connection is for one command:
 *
 *   tool  command:1 kind:1 value    selector.h has the kinds; of L nothing follows
 *           T  try now what waits for it
 *           H  hold it            R  release it
 *           D  remove it          B  the same, and tell the senders
 *           L  tell what is held
 *   send  P messages:8              so far; may come any number of times
 *         L kind:1 value            one thing that is held
 *         K changed:1 messages:8 rcpts:8
 *                                   done, and on disk: of H and R, 1 when it was not held (was held)
 *                                   before; messages made due or removed, recipients removed
 *         Z text, D text            temporary, permanent failure; a line for people
 *
 * After K, Z or D send closes. Whoever may not ask gets D at once. A connection
 * that ends without one of the three may have had any effect: the same command
 * may be given again.
 */
#ifndef PIPIT_SENDWIRE_H
#define PIPIT_SENDWIRE_H

#include <stddef.h>
#include <stdint.h>

#include "selector.h"

#define SENDWIRE_SOCKET "queue/lock/control" /* below the home */
#define SENDWIRE_MAX    (2 + SELECTOR_MAX)   /* bytes of a packet */
#define SENDWIRE_TEXT   255                  /* bytes of a text; what is more is left out */

#define SENDWIRE_TRY     'T'
#define SENDWIRE_HOLD    'H'
#define SENDWIRE_RELEASE 'R'
#define SENDWIRE_REMOVE  'D'
#define SENDWIRE_BOUNCE  'B'
#define SENDWIRE_LIST    'L'

struct sendwire_answer {
  char type;                /* P L K Z D */
  int changed;              /* K */
  uint64_t messages, rcpts; /* P, K */
  struct selector held;     /* L: its value lies in the packet */
  char text[SENDWIRE_TEXT + 1]; /* Z D: printable, NUL-terminated */
};

/* Write a command to out[0..SENDWIRE_MAX): its length. <sel> may be NULL for SENDWIRE_LIST. */
extern size_t sendwire_pack(char out[SENDWIRE_MAX], char command, struct selector const *sel);
/* Take the packet s[0..len) apart: <sel> points into it. 1, or 0 and <*why>. */
extern int sendwire_unpack(char const *s, size_t len, char *command, struct selector *sel,
                           char const **why);

/* The same for an answer: its length; 1, or 0 when it is none. */
extern size_t sendwire_pack_answer(char out[SENDWIRE_MAX], struct sendwire_answer const *a);
extern int sendwire_unpack_answer(char const *s, size_t len, struct sendwire_answer *a);

#endif
