/* printforward.c - printforward, printmaillist: show what fastforward reads
 *
 * usage: printforward <cdb
 *        printmaillist <bin
 *
 * setforward and setmaillist make the same again of what is printed.
 *
 * exit: 0 printed, 100 wrong usage, or no such file, 111 it cannot be read.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <skalibs/buffer.h>
#include <skalibs/djbunix.h>
#include <skalibs/strerr.h>

#include "aliases.h"
#include "cdbmap.h"
#include "helper.h"
#include "program.h"
#include "spool.h"

static void bad(void) __attribute__((noreturn));
static void bad(void)
{
  strerr_dief(EXIT_PERMANENT, "standard input is not what this reads, or is damaged");
}

static void put(char const *s, size_t len)
{
  if (buffer_put(buffer_1, s, len) < 0) strerr_diefusys(EXIT_TEMPORARY, "write the output");
}

static void puts_(char const *s)
{
  put(s, strlen(s));
}

static void end_output(void)
{
  if (!buffer_flush(buffer_1)) strerr_diefusys(EXIT_TEMPORARY, "write the output");
}

/* With a backslash before whatever setforward would not take as it is. */
static void put_quoted(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    if ((unsigned char)s[i] <= ' ' || strchr(",:;\\#", s[i])) puts_("\\");
    put(s + i, 1);
  }
}

static void put_instructions(char const *s, size_t len)
{
  char const *one;
  int r;
  for (size_t pos = 0; (r = aliases_next(s, len, &pos, &one));) {
    if (r == -1) bad();
    puts_(one == s ? "\n  " : ",\n  ");
    put_quoted(one, strlen(one));
  }
}

static void put_record(char const *key, size_t klen, char const *value, size_t len)
{
  if (klen < 1 || (*key != ALIASES_OWNER && *key != ALIASES_INSTRUCTIONS)) bad();
  put_quoted(key + 1, klen - 1);
  puts_(":");
  if (*key == ALIASES_OWNER) {
    puts_(" ?");
    put_quoted(value, len);
  } else {
    put_instructions(value, len);
  }
  puts_(";\n");
}

int printforward_main(int argc, char const *const *argv)
{
  struct cdbmap *map;
  struct cdbmap_stamp stamp = {0};
  struct cdbmap_record rec;
  char path[64];
  uint64_t offset, length, pos = 0;
  int fd = 0;
  (void)argv;
  if (argc != 1) strerr_dieusage(EXIT_PERMANENT, "printforward <cdb");
  if (!spool_whole(&fd, &offset, &length)) strerr_diefusys(EXIT_TEMPORARY, "read standard input");
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int r = cdbmap_open(&map, AT_FDCWD, path);
  if (r == 1) r = cdbmap_verify(map, &stamp);
  if (r == -1 && errno == EPROTO) bad();
  if (r != 1) strerr_diefusys(EXIT_TEMPORARY, "read standard input");
  while (cdbmap_next(map, &pos, &rec)) put_record(rec.key, rec.klen, rec.value, rec.vlen);
  end_output();
  return 0;
}

int printmaillist_main(int argc, char const *const *argv)
{
  stralloc list = STRALLOC_ZERO;
  char const *one;
  int r;
  (void)argv;
  if (argc != 1) strerr_dieusage(EXIT_PERMANENT, "printmaillist <bin");
  if (!slurp(&list, 0)) strerr_diefusys(EXIT_TEMPORARY, "read standard input");
  for (size_t pos = 0; (r = aliases_next(list.s, list.len, &pos, &one));) {
    size_t len = r == 1 ? strlen(one) : 0;
    if (!len || *one == '|' || *one == '!' || strchr(one, '\n') || strchr(" \t", one[len - 1]))
      bad();
    put(one, len);
    puts_("\n");
  }
  end_output();
  return 0;
}
