/* names.h - one file that is several programs: which one, says the name it is called by */
#ifndef PIPIT_NAMES_H
#define PIPIT_NAMES_H

#include <stddef.h>

typedef int names_main(int argc, char const *const *argv);

struct names {
  char const *name; /* without a "pipit-" or "qmail-" that may stand before it */
  names_main *main;
};

/* Run the one of the <n> programs that argv[0] names, else the one that argv[1] does, with the
 * arguments from there on; PROG is that name. Returns its exit code. Where there is none of these
 * names, it ends the program: wrong usage of <file>. */
extern int names_run(char const *file, struct names const *programs, size_t n, int argc,
                     char const *const *argv);

/* Is <called>, the last component of a program's name, "pipit-<name>" or "qmail-<name>"? */
extern int names_ours(char const *called, char const *name);

#endif
