/* mxgroup.h - one name for the mail exchangers of best preference: domains that share them share it */
#ifndef PIPIT_REMOTE_MXGROUP_H
#define PIPIT_REMOTE_MXGROUP_H

#include <stddef.h>

#include "dns.h"
#include "job.h"

#define MXGROUP_MAX 200 /* bytes of such a name */
_Static_assert(MXGROUP_MAX < JOB_GROUP_MAX, "it must fit into a packet");

/* Write "host,host,..." to <out>: those of list[0..n) that have the preference of the first one, in
 * lower case, sorted, each once; and ":port" where it is not 25. There is room for a mark of tlspolicy.h behind it. Where they do not fit, the rest is replaced by '#' and a hash of
 * all. The length; 0 without any, or without memory. */
extern size_t mxgroup_name(char out[MXGROUP_MAX + 1], struct dns_mx const *list, size_t n,
                           unsigned int port);

#endif
