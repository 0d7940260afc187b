/* smtppath.h - take apart what follows MAIL and RCPT (RFC 5321, 4.1.2)
 *
 *   FROM:<@relay:"some one"@example.org> SIZE=1000 BODY=8BITMIME
 *
 * Parsers work on lengths; nothing here allocates.
 */
#ifndef PIPIT_SMTPPATH_H
#define PIPIT_SMTPPATH_H

#include <stddef.h>

#include "address.h"

struct smtppath {
  char s[ADDRESS_MAX]; /* the address, its quoting undone; not NUL-terminated */
  size_t len;          /* 0 for <> */
  size_t used;         /* bytes of the argument that the path took; parameters follow */
};

enum smtppath_result {
  SMTPPATH_OK,
  SMTPPATH_SYNTAX, /* not a path, or one that ends too early, or with an empty part */
  SMTPPATH_UNSAFE, /* holds a control character or a NUL */
  SMTPPATH_LONG    /* over ADDRESS_MAX bytes */
};

/* Parse s[0..len), the command's argument, which has to begin with <keyword>
 * ("FROM:" or "TO:"; case does not matter). A source route is dropped, quotes
 * and backslashes of the local part are undone, as in qmail-smtpd. An address
 * without angle brackets is taken up to the first space. */
extern enum smtppath_result smtppath_parse(struct smtppath *p, char const *keyword, char const *s,
                                           size_t len);

struct smtpparam {
  char const *name; /* points into the argument; not NUL-terminated */
  size_t namelen;
  char const *value;
  size_t valuelen;
};

/* The next ESMTP parameter of s[*pos..len): 1 and <*p>, and <*pos> behind it;
 * 0 when there is none left; -1 when what is there is no parameter. */
extern int smtpparam_next(struct smtpparam *p, char const *s, size_t len, size_t *pos);

/* Is the parameter's name, or its value, this word (case does not matter)? */
extern int smtpparam_is(struct smtpparam const *p, char const *name);
extern int smtpparam_value_is(struct smtpparam const *p, char const *value);

#endif
