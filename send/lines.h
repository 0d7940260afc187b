/* lines.h - files of checksummed lines: state files and the journal
 *
 * A line is "<8 hex digits> <payload>\n"; the digits are the CRC-32C of the
 * file's nonce and the payload. The first line is the title and carries the
 * nonce: "<title> <32 hex digits>\n". Reading ends at the first line that does
 * not hold, so a torn end is harmless and a file can be written again in
 * place, with another nonce. A payload has no newline in it.
 */
#ifndef PIPIT_SEND_LINES_H
#define PIPIT_SEND_LINES_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#include "qfile.h"

#define LINES_TITLE_MAX 64
#define LINES_MAX       16384 /* bytes of a line with its newline */

/* Append the title line. 1, or 0 with ENOMEM. */
extern int lines_title(stralloc *out, char const *title, char const nonce[QFILE_NONCE]);
/* Append a line. 1, or 0 with ENOMEM or EMSGSIZE. */
extern int lines_add(stralloc *out, char const nonce[QFILE_NONCE], char const *payload, size_t len);

struct lines { /* reading */
  int fd;
  uint64_t good;  /* where the good lines end: new ones go here */
  size_t at, have;
  char nonce[QFILE_NONCE];
  char buf[LINES_MAX * 2];
};

/* Begin to read <fd> from its start. 1; 0 when the title does not hold; -1 with errno. */
extern int lines_open(struct lines *l, int fd, char const *title);
/* The same; 0 also when its nonce is another one. */
extern int lines_open_own(struct lines *l, int fd, char const *title, char const nonce[QFILE_NONCE]);
/* The next payload, good until the next call. 1; 0 at the end; -1 with errno. */
extern int lines_next(struct lines *l, char const **payload, size_t *len);

/* Hex digits of a nonce, and back (1, or 0 when s[0..2*QFILE_NONCE) is none). */
extern void lines_hex(char out[2 * QFILE_NONCE], char const nonce[QFILE_NONCE]);
extern int lines_unhex(char nonce[QFILE_NONCE], char const *s);

/* Read a decimal number at s[*pos..len) and the space, or the end, after it. 1, or 0. */
extern int lines_number(char const *s, size_t len, size_t *pos, uint64_t *n);

#endif
