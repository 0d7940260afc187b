/* control.h - read one-setting-per-file configuration ("control files")
 *
 * A control file is plain text in the home's control/. A scalar setting is the
 * file's first line; a list setting is every line. In both, trailing blanks,
 * tabs and carriage returns are dropped; in lists, empty lines and lines
 * starting with '#' are skipped. A missing file means "use the built-in
 * default"; it is never an error. A name with a slash in it is a path of its own.
 *
 * Functions here never exit and never log: the caller knows whether a bad
 * setting is worth dying for (smtpd answers 421, send keeps the old value).
 */
#ifndef PIPIT_CONTROL_H
#define PIPIT_CONTROL_H

#include <stdint.h>

#include <skalibs/stralloc.h>

#define CONTROL_MAXSIZE 16777216 /* bytes; a larger control file is refused */

/* Read a scalar: set <sa> to the first line, NUL-terminated (the NUL is not
 * counted in sa->len). Returns 1 if read, 0 if there is no such file, -1 on
 * error with errno set and control_why() telling: EFBIG (over
 * CONTROL_MAXSIZE), EINVAL (a NUL byte inside, or not what was asked for),
 * ENOMEM, or the error of open() or read(). <sa> is unchanged unless 1 is returned. */
extern int control_line(char const *name, stralloc *sa);

/* The same, but without such a file <sa> is set to the content of control/me;
 * without that either, -1 with ENOENT. Never returns 0. */
extern int control_line_or_me(char const *name, stralloc *sa);

/* Read a list: set <sa> to the entries, each NUL-terminated (and counted).
 * Returns as control_line. */
extern int control_list(char const *name, stralloc *sa);

/* Read a whole number from 0 to <max> into <*value>. Returns as control_line;
 * EINVAL for anything but digits, ERANGE over <max>. <*value> is unchanged
 * unless 1 is returned, so set the default first. */
extern int control_number(char const *name, unsigned long *value, unsigned long max);

/* Is there such a file? 1, 0, or -1 with errno when that cannot be told. */
extern int control_exists(char const *name);

/* A number that changes when any of the files <names> (NULL-terminated) is written anew, made or
 * removed. */
extern uint64_t control_stamp(char const *const *names);

/* For a caller that finds fault with a value: set control_why() to the file
 * and <what>, errno to EINVAL; returns -1. */
extern int control_bad(char const *name, char const *what);

/* The same for a list, of which <what> quotes the entry. */
extern int control_bad_entry(char const *name, char const *what);

/* One line (no newline) on the last failure: the file, the line and the mend.
 * Static storage. */
extern char const *control_why(void);

#endif
