/* ofmipname.c - compile a table of senders' names and addresses, as mess822's ofmipname
 *
 * usage: pipit-ofmipname              control/ofmipname to control/ofmipname.cdb
 *        pipit-ofmipname cdb [tmp]    descriptor 0 to that file; tmp is not used
 *
 * Lines are address:name:new address: and anything; empty lines and those with # are skipped.
 *
 * exit: 0 done, 100 wrong usage, 111 trouble: the old file is in its place.
 */

#include <string.h>

#include <skalibs/djbunix.h>
#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "address.h"
#include "admin.h"
#include "program.h"
#include "table.h"

/* The end of the part at s[from..len), where a colon stands; <len> without one. */
static size_t part(char const *s, size_t from, size_t len)
{
  char const *colon = from < len ? memchr(s + from, ':', len - from) : 0;
  return colon ? (size_t)(colon - s) : len;
}

static void put_line(struct table const *t, char const *s, size_t len)
{
  static stralloc value = STRALLOC_ZERO;
  size_t key = part(s, 0, len);
  size_t name = part(s, key + 1, len);
  size_t addr = part(s, name + 1, len);
  if (name >= len) table_bad(t, "not address:name:address:");
  if (!address_is_clean(s, len)) table_bad(t, "control character");
  if (!key || addr == name + 1) table_bad(t, "no address before the first colon, or behind the second");
  if (addr - name - 1 > ADDRESS_MAX) table_bad(t, "address too long");
  if (!stralloc_copyb(&value, s + key + 1, name - key - 1) || !stralloc_0(&value) ||
      !stralloc_catb(&value, s + name + 1, addr - name - 1))
    strerr_dief(EXIT_TEMPORARY, "out of memory");
  table_put(s, key, value.s, value.len);
}

/* A path of the command line begins where the caller is, not in the home. */
static char const *absolute(char const *path)
{
  static stralloc whole = STRALLOC_ZERO;
  if (*path == '/') return path;
  if (sagetcwd(&whole) == -1) strerr_diefusys(EXIT_TEMPORARY, "tell the working directory");
  if (!stralloc_append(&whole, '/') || !stralloc_cats(&whole, path) || !stralloc_0(&whole))
    strerr_dief(EXIT_TEMPORARY, "out of memory");
  return whole.s;
}

int ofmipname_main(int argc, char const *const *argv)
{
  struct table t;
  char *s;
  size_t len;
  if (argc > 3) strerr_dieusage(EXIT_PERMANENT, "pipit-ofmipname [ cdb [ tmp ] ]");
  table_program(1);
  if (argc > 1) table_read_input(&t, "standard input");
  else table_read(&t, "control/ofmipname");
  table_begin(argc > 1 ? absolute(argv[1]) : "control/ofmipname.cdb");
  while (table_next(&t, &s, &len)) {
    len = table_trim(s, len);
    if (len && *s != '#') put_line(&t, s, len);
  }
  table_commit();
  return 0;
}
