/* client.h - who is on the other side, and what it may do
 *
 * Strings point into the environment, the rule, or to static text.
 */
#ifndef PIPIT_SMTPD_CLIENT_H
#define PIPIT_SMTPD_CLIENT_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#define CLIENT_HELO_MAX  255  /* bytes of a HELO name that are kept */
#define CLIENT_TRACE_MAX 1800 /* bytes of what client_trace writes, with the NUL */

struct client {
  char ip[INET6_ADDRSTRLEN];      /* an address; "unknown", or "local" when there is none */
  char localip[INET6_ADDRSTRLEN]; /* ours, or "" */
  char const *host;               /* its name, or NULL */
  char const *info;               /* what its ident server said, or NULL */
  char const *relay;              /* RELAYCLIENT: what recipients get appended; NULL: no relay */
  int has_databytes;
  unsigned long databytes;        /* DATABYTES */
  int has_brtlimit;
  unsigned long brtlimit;         /* BRTLIMIT */
  int hidden;                     /* client_trace does not tell about it */
  int smtps;                      /* SMTPS: TLS begins before the greeting */
};

/* Find out who is on the socket <in>: from <rule>, instructions as in a tcprules file
 * (or NULL), or the environment that tcpserver and its like make (TCPREMOTEIP ...,
 * TCP6REMOTEIP ...), else from the socket. */
extern void client_find(struct client *c, stralloc const *rule, int in);

/* Read the rest from <rule>, else from the environment: name, ident, RELAYCLIENT,
 * DATABYTES, BRTLIMIT, SMTPS, and our address where none is known. <rule> has to stay. 1, or 0
 * when one of the two numbers is none. */
extern int client_load(struct client *c, stralloc const *rule);

/* The variables that both of these read; ends with NULL. */
extern char const *const client_variables[];

/* Write an address as text; IPv4 in IPv6 becomes IPv4. "" when it is neither. */
extern void client_address(char text[INET6_ADDRSTRLEN], struct sockaddr_storage const *sa);

/* Is <ip>, text as it stands in user@[ip], one of this machine's addresses?
 * 1, 0, or -1 with errno when that cannot be told. */
extern int client_ip_is_mine(struct client const *c, char const *ip, size_t len);

/* Write the text of a Received line before its semicolon: "from HELO (HOST
 * [IP])", newline, tab, "by ME with PROTOCOL"; of a hidden client what begins with "by". Returns its length. */
extern size_t client_trace(struct client const *c, char out[CLIENT_TRACE_MAX], char const *helo,
                           char const *me, char const *protocol);

#endif
