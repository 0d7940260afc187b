/* logline.h - one event, one line on stderr; the format of pipit-log(7)
 *
 * A line is a text part followed by key=value pairs. A value of printable
 * ASCII without space, '"', '\' and '=' stands bare; any other, and the empty
 * one, stands in double quotes with \" \\ and \xHH. So a line has one newline,
 * at its end, whatever a peer sent.
 */
#ifndef PIPIT_LOGLINE_H
#define PIPIT_LOGLINE_H

#include <stddef.h>
#include <stdint.h>

#define LOGLINE_MAX 4096  /* bytes with the newline: PIPE_BUF, so lines never mix */
#define LOGLINE_WAIT_MS 3000
#define LOGLINE_VALUE 512 /* bytes of a value that are shown; "..." follows a cut one */

struct logline {
  size_t len;
  char s[LOGLINE_MAX];
};
#define LOGLINE_ZERO { .len = 0 }

/* Append text of our own, as it is. */
extern void logline_text(struct logline *l, char const *text);
/* Append a peer's text in qmail-send's manner: unsafe bytes and spaces become
 * '_', newlines '/', '%' '_'. */
extern void logline_safe(struct logline *l, char const *s, size_t len);
extern void logline_number(struct logline *l, uint64_t n);
/* Append " key=value". */
extern void logline_key(struct logline *l, char const *key, char const *value);
extern void logline_keyb(struct logline *l, char const *key, char const *value, size_t len);
extern void logline_keyn(struct logline *l, char const *key, uint64_t n);
/* Write the line to stderr with one write(), and empty <l>. A log that takes
 * nothing for LOGLINE_WAIT_MS gets no more lines until it does again, and then
 * a warning that says how many it lost: mail does not wait for it. */
extern void logline_write(struct logline *l);

#endif
