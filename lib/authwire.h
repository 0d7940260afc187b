/* authwire.h - what pipit-authd is asked over run/auth
 *
 * A SOCK_SEQPACKET connection for each question:
 *   request  struct authwire_request, behind it login, secret and extra, one after the other,
 *            without NULs; with session=1 the client's socket by SCM_RIGHTS
 *   answer   a packet that begins with one of the letters below. AUTHWIRE_DATA is not the
 *            last one: it is to be answered with a packet of that kind. After AUTHWIRE_OK with
 *            session=1 the connection stays open as long as the session lasts.
 * An answer may take AUTHWIRE_ANSWER_MS. Who closes the connection before gives up.
 *
 * AUTHWIRE_CHECK    checks login and secret; extra is a timestamp or, for CRAM-MD5 and APOP,
 *                   the challenge (secret is then the response, as in hexadecimal digits)
 * AUTHWIRE_SCRAM    a conversation (RFC 5802): extra is the client's first message, as decoded;
 *                   each AUTHWIRE_DATA from there on is one more message. Login and secret are
 *                   empty. The server's last message is answered with an empty one.
 * session           (flag, together with one of both) on success pipit-pop3d is started, as
 *                   the user, with the client's socket on descriptors 0 and 1
 * AUTHWIRE_MECHANISMS  which mechanisms can be offered: AUTHWIRE_OK and a byte of AUTHWIRE_HAS_
 * AUTHWIRE_SEND     may <login> send one message more, to so many recipients? If so it counts.
 *                   AUTHWIRE_NO: such a message never
 * AUTHWIRE_IS_OPEN  has <ip> logged in lately (control/relayopentime)?
 *
 * On run/relayopen, which others may open too, pipit-authd takes struct authwire_open.
 */
#ifndef PIPIT_AUTHWIRE_H
#define PIPIT_AUTHWIRE_H

#include <netinet/in.h>
#include <stdint.h>

#define AUTHWIRE_SOCKET      "run/auth"
#define AUTHWIRE_OPEN_SOCKET "run/relayopen"

#define AUTHWIRE_CHECK      'C'
#define AUTHWIRE_SCRAM      'S'
#define AUTHWIRE_MECHANISMS 'M'
#define AUTHWIRE_SEND       'L'
#define AUTHWIRE_IS_OPEN    'O'

#define AUTHWIRE_OK    'K' /* and the login, for AUTHWIRE_CHECK and AUTHWIRE_SCRAM */
#define AUTHWIRE_NO    'N'
#define AUTHWIRE_DATA  'D' /* and a message */
#define AUTHWIRE_WHO   'I' /* and the login: pipit-checkpass -s has read whose it is */
#define AUTHWIRE_LATER 'W' /* too often: and the seconds to wait, in digits */
#define AUTHWIRE_FAULT 'T' /* it cannot be told now: and why */

#define AUTHWIRE_HAS_PLAIN 1 /* and LOGIN, USER and PASS */
#define AUTHWIRE_HAS_CRAM  2 /* and APOP */
#define AUTHWIRE_HAS_SCRAM 4

#define AUTHWIRE_LOGIN_MAX 255
#define AUTHWIRE_DATA_MAX  512  /* bytes that a checkpassword program reads at most */
#define AUTHWIRE_SCRAM_MAX 1024 /* bytes of a message of SCRAM */
#define AUTHWIRE_MAX       2048 /* bytes of a packet */
#define AUTHWIRE_ANSWER_MS 90000

enum authwire_mechanism { /* for the log; auth_mechanism_name */
  AUTHWIRE_PLAIN,
  AUTHWIRE_LOGIN,
  AUTHWIRE_CRAM_MD5,
  AUTHWIRE_SCRAM_SHA_256,
  AUTHWIRE_USER,
  AUTHWIRE_APOP,
  AUTHWIRE_MECHANISM_COUNT
};
enum authwire_service { AUTHWIRE_SMTP, AUTHWIRE_SUBMISSION, AUTHWIRE_POP3, AUTHWIRE_SERVICE_COUNT };

struct authwire_request {
  char kind;
  uint8_t session;   /* 1: start one */
  uint8_t mechanism;
  uint8_t service;
  uint32_t recipients;
  uint16_t loginlen, secretlen, extralen;
  uint8_t tls;
  uint8_t unused;
  char ip[INET6_ADDRSTRLEN + 2];      /* of the client, NUL-terminated; not an address: local */
  char localip[INET6_ADDRSTRLEN + 2]; /* ours, or "" */
};

struct authwire_open {
  char ip[INET6_ADDRSTRLEN + 2];
};

#endif
