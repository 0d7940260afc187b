/* addrfield.h - complete the addresses of a header field where they stand (RFC 5322, 3.4; RFC 6854)
 *
 * Everything else in the field stays as it was written: display names, comments, folding, encoded
 * words. Source routes go, and commas that are missing are put in. A line is folded only where it
 * has grown past ADDRFIELD_FOLD.
 */
#ifndef PIPIT_ADDRFIELD_H
#define PIPIT_ADDRFIELD_H

#include <stddef.h>

#include <skalibs/stralloc.h>

#include "complete.h"
#include "header.h"

#define ADDRFIELD_FOLD 900 /* bytes */

struct addrfield {
  struct complete const *hosts;
  size_t left; /* how many addresses there may still be, in this field and those to come */
  size_t max;  /* bytes that a field may have afterwards */
  int quote_names; /* 1: what looks like an address in a display name, or a group's name, is put in quotes */
  /* Called for each completed address (local@domain without quoting; any byte may occur in the
   * local part); "<>" is none. 1, or 0 with errno. May be NULL. */
  int (*address)(void *data, char const *s, size_t len);
  void *data;
};

/* Append the field to <out>. 1; 0 when its list cannot be understood (<address> may have been
 * called for some, and <out> is as it was); -1 with errno: ENOMEM, E2BIG (too many addresses),
 * EMSGSIZE (too long), or the errno of <address>. */
extern int addrfield_rewrite(struct addrfield *r, struct header_field const *f, stralloc *out);

#endif
