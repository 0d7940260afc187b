/* names.c - one file that is several programs; see names.h */

#include <string.h>

#include <skalibs/strerr.h>

#include "names.h"
#include "program.h"

#define PREFIX 6 /* bytes of "pipit-", and of "qmail-" */

static int has_prefix(char const *called)
{
  return !strncmp(called, "pipit-", PREFIX) || !strncmp(called, "qmail-", PREFIX);
}

int names_ours(char const *called, char const *name)
{
  return has_prefix(called) && !strcmp(called + PREFIX, name);
}

static names_main *find(struct names const *programs, size_t n, char const *called)
{
  for (size_t i = 0; i < n; i++)
    if (!strcmp(called, programs[i].name) || names_ours(called, programs[i].name))
      return programs[i].main;
  return 0;
}

int names_run(char const *file, struct names const *programs, size_t n, int argc,
              char const *const *argv)
{
  char const *called = program_called(argc ? argv[0] : 0);
  names_main *run = find(programs, n, called);
  if (!run && argc > 1) {
    argc--;
    argv++;
    called = program_called(argv[0]);
    run = find(programs, n, called);
  }
  program_start(run ? called : file);
  if (!run)
    strerr_die(EXIT_PERMANENT, file, ": usage: ", file, " NAME argument..., for one of its names");
  return run(argc, argv);
}
