/* smtpreply.h - a strict parser for the replies of an SMTP server (RFC 5321, 4.2)
 *
 * A reply is one or more lines "code-text" and a last line "code text" or just
 * "code" (4.2.1 wants that accepted), with the same code on each. Code: first
 * digit 2 to 5, second 0 to 5, third any. Anything else is malformed, and so
 * are longer lines and more of them than the limits allow: the caller treats
 * that as a temporary failure and gives the connection up.
 *
 * A line ends with LF; one CR before it belongs to the end. A bare LF is
 * accepted: nothing that the client sends can be echoed with a line end in it,
 * and a caller that finds bytes left over before its next command knows that
 * the two sides are out of step.
 */
#ifndef PIPIT_SMTPREPLY_H
#define PIPIT_SMTPREPLY_H

#include <stddef.h>

#define SMTPREPLY_LINE_MAX  2048 /* bytes of a line with its end (RFC 5321: 512) */
#define SMTPREPLY_LINES_MAX 100  /* lines of a reply */
#define SMTPREPLY_TEXT_MAX  4096 /* bytes of text that are kept; the rest is dropped */

struct smtpreply {
  int code;       /* of a complete reply */
  size_t lines;   /* complete ones */
  size_t linelen; /* bytes in line */
  size_t textlen; /* bytes in text */
  char line[SMTPREPLY_LINE_MAX];
  char text[SMTPREPLY_TEXT_MAX]; /* the lines as "250-text\n", tabs as spaces, control
                                    characters and bytes over 126 as '?' */
};

enum smtpreply_state {
  SMTPREPLY_MORE,     /* everything was used, the reply goes on */
  SMTPREPLY_COMPLETE, /* code and text are set */
  SMTPREPLY_MALFORMED
};

/* Make ready for a new reply. */
extern void smtpreply_start(struct smtpreply *r);

/* Read s[0..len); <*used> is the number of bytes taken. After COMPLETE or
 * MALFORMED call smtpreply_start before the next reply. */
extern enum smtpreply_state smtpreply_feed(struct smtpreply *r, char const *s, size_t len,
                                           size_t *used);

#endif
