/* route.h - where mail goes: lmtproutes, senderroutes, smtproutes, address literals, or MX
 *
 * A line of senderroutes or smtproutes is a key, a colon, and a route:
 *   [relay[:port]] [word ...]     blanks between them; no relay: the mail exchangers
 *   error=text, defer=text        mail is refused, or waits; the text is the rest of the line
 *   local=[prefix]                mail is for this host, as by control/locals or virtualdomains
 * Words: those of a policy of TLS (none, may, encrypt, verify, wrapper, match=, ca=,
 * fingerprint=); auth=NAME[,clear][,mechanism], the credentials to log in with, whether they may go out
 * without TLS, and how; bind=address[,address], to connect from, one of each family.
 * As patches of qmail write it: "relay:port|user|password", "relay:port user password", and
 * ";port", with an IPv6 address before it.
 */
#ifndef PIPIT_REMOTE_ROUTE_H
#define PIPIT_REMOTE_ROUTE_H

#include <stddef.h>
#include <sys/un.h>

#include "dns.h"
#include "map.h"

enum route_kind {
  ROUTE_MX,   /* look up the MX hosts of name */
  ROUTE_HOST, /* name is a relay: its addresses, no MX */
  ROUTE_IP,   /* ip */
  ROUTE_SOCKET, /* name is the path of a Unix socket */
  ROUTE_REFUSE, /* name is why, for good */
  ROUTE_DEFER,  /* name is why, for now */
  ROUTE_LOCAL   /* name is a prefix, as of virtualdomains, or "" */
};

#define ROUTE_PATH_MAX (sizeof ((struct sockaddr_un *)0)->sun_path) /* bytes of one, with its NUL */
_Static_assert(ROUTE_PATH_MAX <= DNS_NAME_MAX, "a path must fit where a name does");

#define ROUTE_TLS_MAX    512 /* bytes of the words on TLS, with NUL */
#define ROUTE_AUTH_MAX   65  /* of the name of credentials, or of a user that stands in a route */
#define ROUTE_SECRET_MAX 256 /* of a password there */

#define ROUTE_BINDS 2 /* the first one is IPv4, the second one IPv6 */

struct route {
  enum route_kind kind;
  int fixed; /* from a file: no loop is looked for */
  int lmtp;  /* from lmtproutes: the server speaks LMTP */
  unsigned int port;
  char name[DNS_NAME_MAX];
  struct dns_ip ip;
  char tls[ROUTE_TLS_MAX];   /* words with a blank between them; "": nothing is said */
  char auth[ROUTE_AUTH_MAX]; /* name in control/smtpcredentials, or the user; "": no login */
  char secret[ROUTE_SECRET_MAX]; /* the password, where it stood in the route; else "" */
  int clear;                 /* they may go out without TLS */
  int mechanisms;            /* that may be used (authcwire.h); 0: any */
  struct dns_ip bind[ROUTE_BINDS]; /* family 0: none */
  int bind_default;          /* they are those of control/outgoingip */
  char const *file;          /* the name of the file that it is from; NULL: none */
};

enum route_result {
  ROUTE_OK,
  ROUTE_BADHOST,  /* no name or literal that could exist: permanent */
  ROUTE_TEMPORARY /* the setting cannot be read: route_why() */
};

struct routes {
  struct map lmtp, sender, smtp; /* control/lmtproutes, senderroutes, smtproutes */
  int sender_first; /* control/routeorder: senderroutes go before lines of smtproutes for a domain */
  int some_local;   /* there is a line with local= */
  struct dns_ip bind[ROUTE_BINDS]; /* control/outgoingip, for routes without bind= */
};
#define ROUTES_ZERO { .lmtp = MAP_ZERO, .sender = MAP_ZERO, .smtp = MAP_ZERO }

/* Read the files. Replaces what <rs> held, only on success. 1, or 0 and route_why(). */
extern int route_load(struct routes *rs);
extern void routes_free(struct routes *rs);
/* Find the route of mail from <sender> to <host> in them. Without a sender (NULL) senderroutes do not
 * count. */
extern enum route_result route_look(struct route *r, struct routes const *rs, char const *host,
                                    char const *sender);
/* The same, read for this one. */
extern enum route_result route_find(struct route *r, char const *host, char const *sender);
extern char const *route_why(void);

/* The key of the line in senderroutes that the route is by, <*len> bytes, in <rs>; NULL: by none. */
extern char const *route_sender_key(struct routes const *rs, char const *host, char const *sender,
                                    size_t *len);
/* Do senders have the same routes by both? */
extern int route_same_senders(struct routes const *a, struct routes const *b);

/* Read what stands after the key in a line of smtproutes or senderroutes. 1, or 0 when it is
 * no route. */
extern int route_parse_relay(struct route *r, char const *value);
/* The same of lmtproutes: "/path" or "host[:port]", without words; no port without a host. */
extern int route_parse_lmtp(struct route *r, char const *value);

#define ROUTE_POLICY_MAX 248 /* bytes of what route_policy writes, with NUL */
#define ROUTE_RELAY_MAX  (DNS_NAME_MAX + 16 + ROUTE_POLICY_MAX + 32) /* and route_relay_name; there is room for a mark (tlspolicy.h) */

/* What connections to one server by different routes differ in: ";words;auth=...;bind=...", or
 * "". Printable, without blanks. */
extern void route_policy(struct route const *r, char out[ROUTE_POLICY_MAX]);

/* The name of a relay, or of an LMTP server, as next hop: "name:port", "[address]:port", in lower
 * case, with the policy, or "/lmtp" behind it; or the path. "" when <r> is neither. */
extern void route_relay_name(struct route const *r, char out[ROUTE_RELAY_MAX]);

/* Read a host: a name, [1.2.3.4] or [IPv6:...]. 1, or 0 when it is none of them. */
extern int route_parse_host(struct route *r, char const *host);

#endif
