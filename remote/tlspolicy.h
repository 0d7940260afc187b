/* tlspolicy.h - how much TLS mail for a host needs: control/tlsdestinations, or a route
 *
 * A policy is words with blanks between them. One level:
 *   none     no TLS
 *   may      where the server offers it; in clear where it does not, or where its TLS fails
 *   encrypt  TLS, whoever the server is
 *   verify   TLS with a server whose certificate holds
 * and what a certificate has to be, with verify:
 *   match=NAME,...       it is for one of these; ".NAME" for any host below NAME; "mx" for the
 *                        name that DNS or the route gives the server
 *   ca=NAME              signed by what stands in control/serverca/NAME.pem, not by the CAs for all
 *   fingerprint=HEX,...  SHA-256 of it or of its public key (SubjectPublicKeyInfo); colons may
 *                        stand in between. Then neither names nor CA are looked at.
 * and "wrapper": TLS from connecting on (port 465, RFC 8314), without STARTTLS; never in clear.
 */
#ifndef PIPIT_REMOTE_TLSPOLICY_H
#define PIPIT_REMOTE_TLSPOLICY_H

#include <stddef.h>
#include <stdint.h>

#include "map.h"

#define TLSPOLICY_FILE "tlsdestinations"

#define TLSPOLICY_MATCH_MAX  512 /* bytes of all names, with commas and NUL */
#define TLSPOLICY_CA_MAX     64  /* of the name of a file, with NUL */
#define TLSPOLICY_PRINT      64  /* hexadecimal digits of a fingerprint */
#define TLSPOLICY_PRINTS_MAX (4 * (TLSPOLICY_PRINT + 1)) /* four of them, with commas or NUL */

enum tlslevel {
  TLSPOLICY_UNSET, /* of a route: control/tlsdestinations decides */
  TLSPOLICY_NONE,
  TLSPOLICY_MAY,
  TLSPOLICY_ENCRYPT,
  TLSPOLICY_VERIFY
};

struct tlspolicy { /* all 0: unset. What is not said is "" */
  enum tlslevel level;
  int wrapper;
  char match[TLSPOLICY_MATCH_MAX];   /* in lower case */
  char ca[TLSPOLICY_CA_MAX];
  char prints[TLSPOLICY_PRINTS_MAX]; /* in lower case, without colons */
};

/* Take one word, s[0..len): 1, or 0 when it is none of the above. The last of several levels
 * counts. */
extern int tlspolicy_word(struct tlspolicy *p, char const *s, size_t len);

/* Do the words that were taken make sense together? NULL, or what is wrong, for a message: match=,
 * ca= or fingerprint= without verify, say. With wrapper, the level "may" becomes "encrypt". */
extern char const *tlspolicy_check(struct tlspolicy *p);

/* Read a whole policy, in a new <*p>. NULL, or what is wrong. */
extern char const *tlspolicy_parse(struct tlspolicy *p, char const *words);

/* 1 when both ask for the same. */
extern int tlspolicy_same(struct tlspolicy const *a, struct tlspolicy const *b);

struct tlspolicies { /* control/tlsdestinations */
  struct map map;
};
#define TLSPOLICIES_ZERO { .map = MAP_ZERO }

/* Read the file. Replaces what <t> held, only on success. 1, or 0 with control_why(). */
extern int tlspolicy_load(struct tlspolicies *t);
extern void tlspolicy_free(struct tlspolicies *t);

/* The policy for mail to <host>: that of its own line, or of a parent's with a dot; else, where it
 * goes to a fixed <relay> (route_relay_name of route.h; "": none), of the relay's; else of the line with
 * an empty name; else may. It is complete. 1 when it is <host>'s own, else 0. */
extern int tlspolicy_find(struct tlspolicies const *t, char const *host, char const *relay,
                          struct tlspolicy *p);

/* The names that verify goes by where a policy says none: the relay's, or else <host> and what lies
 * below it; never what the DNS said. 1 when they are <host>'s own, else 0. */
extern int tlspolicy_complete(struct tlspolicy *p, char const *host, char const *relay);

#define TLSPOLICY_MARK_MAX 21 /* bytes of a mark, without NUL */

/* A connection may serve another host only where that has the same policy. So behind the name of the
 * next hop, name[0..size), of a host whose own policy is <p> stands a mark. 1, or 0: no room. */
extern int tlspolicy_mark(struct tlspolicy const *p, char *name, size_t size);

#endif
