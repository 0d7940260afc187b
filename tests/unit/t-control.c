/* t-control.c - control files as people write them, and broken ones */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/stralloc.h>

#include "check.h"
#include "control.h"

static void put(char const *name, char const *s, size_t len)
{
  char path[256];
  snprintf(path, sizeof path, "control/%s", name);
  FILE *f = fopen(path, "w");
  if (!f || fwrite(s, 1, len, f) != len || fclose(f)) exit(111);
}

static struct list_case {
  char const *why, *file;
  size_t filelen;
  int result;
  char const *entries;
  size_t entrieslen;
} const list_cases[] = {
  { "comments and blanks are skipped", "#x\n\n  \na\n", 9, 1, "a", 2 },
  { "last line needs no newline", "a\nb", 3, 1, "a\0b", 4 },
  { "trailing blanks and CR are dropped", "a \t\r\nb \n", 8, 1, "a\0b", 4 },
  { "an empty file is an empty list", "", 0, 1, "", 0 },
  { "a NUL byte is refused", "a\0b\n", 4, -1, "", 0 },
  { "a NUL byte in a comment is not looked at", "#\0\na\n", 5, 1, "a", 2 },
};

static void lists(void)
{
  stralloc sa = STRALLOC_ZERO;
  check(control_list("missing", &sa) == 0, "missing file is not an error");
  for (size_t i = 0; i < sizeof list_cases / sizeof *list_cases; i++) {
    struct list_case const *c = list_cases + i;
    put("f", c->file, c->filelen);
    sa.len = 0;
    int r = control_list("f", &sa);
    check(r == c->result && sa.len == c->entrieslen && !memcmp(sa.s, c->entries, sa.len), c->why);
  }
}

static struct number_case {
  char const *why, *file;
  int result;
  unsigned long value;
} const number_cases[] = {
  { "a number is read", "17\n", 1, 17 },
  { "zero is a number", "0", 1, 0 },
  { "the maximum is allowed", "1000\n", 1, 1000 },
  { "one more is not", "1001\n", -1, 5 },
  { "nothing near overflow is taken", "18446744073709551617\n", -1, 5 },
  { "letters are refused", "12x\n", -1, 5 },
  { "a sign is refused", "-1\n", -1, 5 },
  { "an empty line is refused", "\n12\n", -1, 5 },
};

static void numbers(void)
{
  for (size_t i = 0; i < sizeof number_cases / sizeof *number_cases; i++) {
    struct number_case const *c = number_cases + i;
    unsigned long n = 5;
    put("n", c->file, strlen(c->file));
    check(control_number("n", &n, 1000) == c->result && n == c->value, c->why);
  }
  put("n", "x\n", 2);
  unsigned long n;
  control_number("n", &n, 9);
  check(strstr(control_why(), "control/n: line 1: ") != 0, "the complaint names file and line");
}

static void lines(void)
{
  stralloc sa = STRALLOC_ZERO;
  put("l", "first \nsecond\n", 14);
  check(control_line("l", &sa) == 1 && !strcmp(sa.s, "first"), "a scalar is the first line");
  check(control_line_or_me("missing", &sa) == -1 && errno == ENOENT, "no me is an error");
  put("me", "host.example\n", 13);
  check(control_line_or_me("missing", &sa) == 1 && !strcmp(sa.s, "host.example"), "me is the default");
  mkdir("control/dir", 0700);
  check(control_line("dir", &sa) == -1, "a directory is refused");
  check(control_exists("me") == 1 && control_exists("missing") == 0, "existence is told");
}

int main(void)
{
  char const *scratch = getenv("SCRATCH");
  if (!scratch || chdir(scratch) || mkdir("control", 0700) || setenv("PIPIT_HOME", scratch, 1))
    return 111;
  lists();
  numbers();
  lines();
  return check_done();
}
