/* newu.c - compile users/assign to users/cdb, as qmail-newu does
 *
 * usage: pipit-newu
 *
 * exit: 0 done, 100 wrong usage, 111 trouble: the old users/cdb is in its place.
 */

#include "admin.h"
#include "assign.h"
#include "table.h"

int newu_main(int argc, char const *const *argv)
{
  struct table t;
  struct assign a = ASSIGN_ZERO;
  char *s;
  size_t len;
  int ended = 0;
  (void)argv;
  table_program(argc);
  table_read(&t, "users/assign");
  table_begin("users/cdb");
  while (!ended && table_next(&t, &s, &len)) {
    ended = *s == '.';
    if (ended) continue;
    char const *why = t.whole ? assign_line(&a, s, len) : "the file is cut off here";
    if (why) table_bad(&t, why);
    if (a.doubt) table_warn(&t, a.doubt);
    table_put(a.key.s, a.key.len, a.value.s, a.value.len);
  }
  if (!ended) table_bad(&t, "no line with a single dot ends the file");
  table_put("", 0, a.wild.s, a.wild.len);
  table_commit();
  return 0;
}
