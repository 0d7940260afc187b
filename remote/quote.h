/* quote.h - an address of the envelope as SMTP writes it between < and > (RFC 5321, 4.1.2) */
#ifndef PIPIT_REMOTE_QUOTE_H
#define PIPIT_REMOTE_QUOTE_H

#include <stddef.h>

#include <skalibs/stralloc.h>

/* Append the address to <out>, its local part in quotes where it needs them. 1;
 * 0 when it must not be sent: a control character anywhere, or a byte in the
 * domain that could end the path (space, <, >, quotes, backslash, comma,
 * semicolon, parentheses), or no local part; -1 with ENOMEM. The empty address
 * is the null sender, and becomes nothing. */
extern int quote_address(stralloc *out, char const *s, size_t len);

#endif
