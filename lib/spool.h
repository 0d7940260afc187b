/* spool.h - a message in a file without a name, for whoever needs to seek in it */
#ifndef PIPIT_SPOOL_H
#define PIPIT_SPOOL_H

#include <stdint.h>

/* A new empty file without a name, for reading and writing, close-on-exec: in
 * $TMPDIR or /tmp, or in memory where neither can be had. -1 with errno. */
extern int spool_open(void);

/* The same, but in the folder <dir> if that can be. */
extern int spool_open_in(char const *dir);

/* Copy [offset, offset + length) of the file <from> to a new spool file, which
 * stands at its start. The descriptor, or -1 with errno (EPIPE: <from> is
 * shorter). */
extern int spool_part(int from, uint64_t offset, uint64_t length);

/* Make <*fd> something that pread works on: a regular file stays as it is, from
 * its present position to its end; anything else is read to its end into a
 * spool file, and <*fd> becomes that. 1 with <*offset> and <*length>, or 0 with
 * errno. */
extern int spool_whole(int *fd, uint64_t *offset, uint64_t *length);

#endif
