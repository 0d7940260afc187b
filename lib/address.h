/* address.h - addresses of the envelope: local part, '@', domain */
#ifndef PIPIT_ADDRESS_H
#define PIPIT_ADDRESS_H

#include <stddef.h>

#define ADDRESS_MAX 900 /* bytes of an address that SMTP takes, as in qmail-smtpd */

/* The offset of the last '@' in s[0..len), or <len> when there is none. What
 * follows it is the domain. */
extern size_t address_at(char const *s, size_t len);

/* 1 when no byte of s[0..len) is a control character. */
extern int address_is_clean(char const *s, size_t len);

#define VERP_MARK "-@[]"
#define VERP_LEN  (sizeof VERP_MARK - 1)

/* Is s[0..len) a sender that is expanded for each recipient (prefix@host-@[])? */
extern int verp_is(char const *sender, size_t len);

#endif
