/* base64.h - base64 with padding (RFC 4648, 4), as SASL exchanges have it: one line, no spaces */
#ifndef PIPIT_BASE64_H
#define PIPIT_BASE64_H

#include <stddef.h>

#define BASE64_LEN(n) (((n) + 2) / 3 * 4) /* characters for n bytes */

/* Write s[0..len) as BASE64_LEN(len) characters to <out>, without a NUL; that number. */
extern size_t base64_encode(char *out, char const *s, size_t len);

/* Decode s[0..len) to out[0..size), which may be where <s> is. 1 and <*n>; 0 when it is not
 * base64 to the letter (surplus bits must be zero), or has not got room. */
extern int base64_decode(char *out, size_t size, char const *s, size_t len, size_t *n);

#endif
