/* handover.h - what is said between pipit-handover and pipit-smtpd -l -s
 *
 * pipit-handover connects (SOCK_SEQPACKET) and sends one packet: the strings of
 * its environment, each with its NUL, and its descriptors 0 and 1 by SCM_RIGHTS.
 * The connection then stays open until the session is over. A byte that comes
 * before says that the listener will not serve this client; a packet that was
 * never read tells itself (ECONNRESET).
 */
#ifndef PIPIT_SMTPD_HANDOVER_H
#define PIPIT_SMTPD_HANDOVER_H

#define HANDOVER_STRINGS_MAX 128   /* strings of an environment that can be sent */
#define HANDOVER_BYTES_MAX   16384 /* and their bytes */

#define HANDOVER_REFUSED "R"

#endif
