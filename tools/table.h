/* table.h - for tools that read text files of the instance, and make cdb files of them
 *
 * Whatever goes wrong ends the program: a line on descriptor 2 says what, the exit code is
 * EXIT_TEMPORARY, and the old cdb file is in its place. Paths begin in the instance's home.
 */
#ifndef PIPIT_TABLE_H
#define PIPIT_TABLE_H

#include <stddef.h>

#include <skalibs/stralloc.h>

#include "cdbwrite.h"

struct table {
  char const *path;
  stralloc text;
  size_t pos;
  unsigned long line; /* the number of the line that table_next gave last */
  int whole;          /* that line ended with a newline */
};

/* Before anything else: refuse arguments, and check that there is an instance. */
extern void table_program(int argc);

/* Read the file as a whole. */
extern void table_read(struct table *t, char const *path);

/* The same for one that may be missing: 0 then. And for descriptor 0, whose content is <name>. */
extern int table_read_if(struct table *t, char const *path);
extern void table_read_input(struct table *t, char const *name);

/* Append the entries of a list, each NUL-terminated, as control_list does. 0: there is no such
 * file. */
extern int table_list(stralloc *list, char const *path);

/* The next line, without its newline; a NUL byte in it is an error. 0 when there is none. */
extern int table_next(struct table *t, char **s, size_t *len);

/* The length of s[0..len) without blanks, tabs and carriage returns at its end. */
extern size_t table_trim(char const *s, size_t len);

/* End the program because of the line that table_next gave last; or warn. */
extern void table_bad(struct table const *t, char const *what) __attribute__((noreturn));
extern void table_warn(struct table const *t, char const *what);

/* End the program because something could not be done; errno says why. */
extern void table_die(char const *what, char const *path) __attribute__((noreturn));

/* Begin the one cdb file that the program writes; add to it; put it in its place. */
extern struct cdbwrite *table_begin(char const *path);
extern void table_put(char const *key, size_t klen, char const *value, size_t vlen);
extern void table_commit(void);

#endif
