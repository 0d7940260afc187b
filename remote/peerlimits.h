/* peerlimits.h - what a server asks its clients to keep within (RFC 9422) */
#ifndef PIPIT_REMOTE_PEERLIMITS_H
#define PIPIT_REMOTE_PEERLIMITS_H

#include <stddef.h>

struct peerlimits { /* 0: no limit is known */
  unsigned int mailmax;       /* transactions in a session */
  unsigned int rcptmax;       /* recipients in a transaction */
  unsigned int rcptdomainmax; /* different domains of recipients in a session */
};

/* Read what stands behind the keyword LIMITS in an answer to EHLO, s[0..len):
 * "NAME=number" or other things, with spaces between them. A number is 1 to 6
 * digits and not 0. What is none of the above is passed over. */
extern void peerlimits_read(struct peerlimits *l, char const *s, size_t len);

#endif
