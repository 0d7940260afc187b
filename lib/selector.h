/* selector.h - which mail a command means: all of it, one message, a sender's, a domain's */
#ifndef PIPIT_SELECTOR_H
#define PIPIT_SELECTOR_H

#include <stddef.h>
#include <stdint.h>

#define SELECTOR_MAX 1002 /* bytes of a value: an address of the envelope (qfile.h) */

#define SELECTOR_ALL    'a'
#define SELECTOR_DOMAIN 'd' /* recipients at this domain, after send's rewriting (rewrite.h) */
#define SELECTOR_SENDER 's' /* an envelope sender, or with '@' at its start all of a domain */
#define SELECTOR_ID     'i' /* one message; the value is its id in decimal */

struct selector {
  char kind;
  char const *value; /* not NUL-terminated */
  size_t len;
  uint64_t id; /* of SELECTOR_ID */
};

/* Make <sel> of a kind and value[0..len), which must stay where it is. NULL, or
 * what is wrong with it: an unknown kind, a value that none can have (control
 * characters, over SELECTOR_MAX, not a number, not a domain). Only a sender may
 * be empty: the null sender. */
extern char const *selector_make(struct selector *sel, char kind, char const *value, size_t len);

/* Do both mean the same? Case counts nowhere. */
extern int selector_equal(struct selector const *a, struct selector const *b);

/* Does the message <id> of this sender have a chance? Always, where only the
 * recipient decides. An expanded sender (prefix@host-@[]) counts as prefix@host. */
extern int selector_message(struct selector const *sel, uint64_t id, char const *sender, size_t len);
/* And this recipient of it, whose address was rewritten? */
extern int selector_rcpt(struct selector const *sel, char const *addr, size_t len);

#endif
