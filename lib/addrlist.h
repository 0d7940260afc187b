/* addrlist.h - address lists as people write them (RFC 5322, 3.4 and 4.4; RFC 6854)
 *
 * Accepted beyond the standard: missing commas between addresses, ';' as a
 * separator, groups that nobody closes, 8-bit bytes, dots in display names and
 * anywhere in local parts, source routes also without angle brackets. The
 * time is linear in the length of the list, whatever is nested in it; the
 * memory that of the longest address.
 */
#ifndef PIPIT_ADDRLIST_H
#define PIPIT_ADDRLIST_H

#include <stddef.h>

#include <skalibs/stralloc.h>

struct addrlist_addr {
  char const *s; /* local@domain without quoting, comments and source route; valid during the call.
                    Any byte may occur in a local part, also NUL: look before you use it. */
  size_t len;    /* 0 for "<>" */
  size_t at;     /* the offset of the '@' before the domain; len when there is none */
  /* Offsets in the list, for who wants to rewrite it: */
  size_t element; /* where the display name begins, or the address when there is none */
  size_t route;   /* where the address begins, with its source route */
  size_t local;   /* where it begins without */
  size_t domain;  /* where the '@' before its domain stands; only where <at> is less than <len> */
  size_t end;     /* where it ends, without a meaningless '.' or '@' behind it */
  size_t resume;  /* after those */
  int nocomma;    /* 1: a comma is missing between this element and the one before */
  size_t comma;   /* where it belongs */
};

/* Called for each address. 1 to go on; 0 with errno to stop. */
typedef int addrlist_func(void *data, struct addrlist_addr const *a);

/* Walk the list s[0..len). 1; 0 when it cannot be understood (<f> may have been
 * called for addresses before that place); -1 with errno: ENOMEM, or <f>'s. */
extern int addrlist_parse(char const *s, size_t len, addrlist_func *f, void *data);

/* A piece of a display name or of a group's name that stands there as an address would, not in
 * quotes: programs differ about what it is. All of it may be put in quotes. */
struct addrlist_piece {
  size_t start, end; /* offsets in the list */
  int nocomma;       /* as above, for the element that it belongs to; told once */
  size_t comma;
};

/* Called for each, before the function for the address. 1 to go on; 0 with errno to stop. */
typedef int addrlist_piece_func(void *data, struct addrlist_piece const *p);

/* As addrlist_parse; <piece> may be NULL. */
extern int addrlist_parse_names(char const *s, size_t len, addrlist_func *f,
                                addrlist_piece_func *piece, void *data);

/* Append the address local@domain to <out> as it stands in a header or in SMTP:
 * with the local part quoted if it must be. 1, or 0 with ENOMEM. */
extern int addrlist_quote(stralloc *out, char const *s, size_t len);

#endif
