/* strings.c - every string over a few letters; see strings.h */

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "strings.h"

int strings_parse(struct strings *x, char **args)
{
  memset(x, 0, sizeof *x);
  x->letters = args[0];
  x->min = strtoul(args[1], 0, 10);
  x->max = strtoul(args[2], 0, 10);
  x->every = strtoul(args[3], 0, 10);
  x->offset = strtoul(args[4], 0, 10);
  return *x->letters && x->max <= STRINGS_LENGTH_MAX && x->every && x->offset < x->every;
}

static char letter(char c)
{
  return c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : c;
}

void strings_show(char const *s, size_t len)
{
  putchar('"');
  for (size_t i = 0; i < len; i++)
    if (s[i] == '\r') fputs("\\r", stdout);
    else if (s[i] == '\n') fputs("\\n", stdout);
    else if (s[i] >= ' ' && s[i] < 127) putchar(s[i]);
    else printf("\\x%02x", (unsigned char)s[i]);
  putchar('"');
}

static void try_one(struct strings *x, char const *s, size_t len, strings_func *f, void *arg)
{
  char const *wrong = f(arg, s, len);
  x->done++;
  if (wrong) {
    x->failed++;
    printf("  ");
    strings_show(s, len);
    printf(": %s\n", wrong);
    fflush(stdout);
  }
}

void strings_run(struct strings *x, strings_func *f, void *arg)
{
  size_t letters = strlen(x->letters);
  unsigned long all = 0, count = 1;
  for (size_t len = 0; len <= x->max; len++, count *= letters)
    for (unsigned long n = 0; len >= x->min && n < count && x->failed < STRINGS_FAILED; n++) {
      char s[STRINGS_LENGTH_MAX];
      unsigned long rest = n;
      if (all++ % x->every != x->offset) continue;
      for (size_t i = 0; i < len; i++, rest /= letters) s[i] = letter(x->letters[rest % letters]);
      try_one(x, s, len, f, arg);
    }
}

int strings_spawn(char *const *argv, int fd)
{
  posix_spawn_file_actions_t a;
  pid_t pid = -1;
  posix_spawn_file_actions_init(&a);
  posix_spawn_file_actions_adddup2(&a, fd, 0);
  posix_spawn_file_actions_adddup2(&a, fd, 1);
  if (posix_spawn(&pid, argv[0], &a, 0, argv, environ)) pid = -1;
  posix_spawn_file_actions_destroy(&a);
  return pid;
}
