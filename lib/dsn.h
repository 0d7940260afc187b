/* dsn.h - what a sender asks for about notices of delivery (RFC 3461): NOTIFY, ORCPT, RET, ENVID
 *
 * Parsers take s[0..len). In the queue's envelope and in jobs the parameters are
 * extras, "NAME=value" with the value as SMTP has it; whoever uses one reads it
 * with these functions, and one that does not hold counts as if it were not there.
 */
#ifndef PIPIT_DSN_H
#define PIPIT_DSN_H

#include <stddef.h>

#include <skalibs/stralloc.h>

#define DSN_NEVER   1u
#define DSN_SUCCESS 2u
#define DSN_FAILURE 4u
#define DSN_DELAY   8u

#define DSN_ENVID_MAX  100 /* characters of ENVID's value (RFC 3461, 4.4) */
#define DSN_ORCPT_MAX  500 /* and of ORCPT's (4.2) */
#define DSN_NOTIFY_MAX 22  /* and of dsn_notify_put, with its NUL */

enum dsn_ret { DSN_RET_NONE, DSN_RET_FULL, DSN_RET_HDRS };

/* A set of the bits above; 0 when it does not hold. Case does not matter. */
extern unsigned int dsn_notify(char const *s, size_t len);
/* The same back: "NEVER", or a list in the order SUCCESS, FAILURE, DELAY. */
extern void dsn_notify_put(char out[DSN_NOTIFY_MAX], unsigned int notify);
/* DSN_RET_NONE when it does not hold. */
extern enum dsn_ret dsn_ret(char const *s, size_t len);

/* Append what xtext s[0..len) stands for (RFC 3461, 4) to <out>, which may be NULL: 1; 0 when it
 * is no xtext, or stands for anything but printable ASCII; -1 with ENOMEM. */
extern int dsn_xtext_decode(stralloc *out, char const *s, size_t len);
/* Append s[0..len) as xtext. 1; 0 when it has anything but printable ASCII; -1 with ENOMEM. */
extern int dsn_xtext_encode(stralloc *out, char const *s, size_t len);

/* Is it a value of ENVID: xtext of at most DSN_ENVID_MAX characters? */
extern int dsn_envid_ok(char const *s, size_t len);
/* Is it a value of ORCPT: a type, a semicolon, xtext? Then the type's length, else 0. */
extern size_t dsn_orcpt_type(char const *s, size_t len);

/* The value of <name> in extras[0..len), "NAME=value\0" ...: the first one; its
 * length in <*valuelen>. NULL when there is none. */
extern char const *dsn_find(char const *extras, size_t len, char const *name, size_t *valuelen);
/* The NOTIFY in extras; 0 when none is there that holds. */
extern unsigned int dsn_find_notify(char const *extras, size_t len);

#endif
