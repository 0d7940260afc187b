/* rcptwire.h - what pipit-smtpd and pipit-rcptd say to each other
 *
 * A SOCK_SEQPACKET connection. A question is one packet, the address as it goes into the
 * envelope, without NUL; the answer is one packet of one byte. One question at a time: the
 * next one after the answer. pipit-rcptd may close a connection that waits for a question.
 */
#ifndef PIPIT_RCPTWIRE_H
#define PIPIT_RCPTWIRE_H

#define RCPTWIRE_SOCKET "run/rcptd"
#define RCPTWIRE_MAX    1100 /* bytes of an address */

enum rcptwire {
  RCPTWIRE_YES = 'y',
  RCPTWIRE_REMOTE = 'r', /* it is for another host: whoever takes mail for that has to know */
  RCPTWIRE_NO = 'n',
  RCPTWIRE_TROUBLE = '?' /* that cannot be told now */
};

#endif
