/* newmrh.c - compile control/morercpthosts to control/morercpthosts.cdb, as qmail-newmrh
 *
 * usage: pipit-newmrh
 *
 * exit: 0 done, 100 wrong usage, 111 trouble: the old file is in its place.
 */

#include <skalibs/bytestr.h>

#include "admin.h"
#include "table.h"

int newmrh_main(int argc, char const *const *argv)
{
  struct table t;
  char *s;
  size_t len;
  (void)argv;
  table_program(argc);
  table_read(&t, "control/morercpthosts");
  table_begin("control/morercpthosts.cdb");
  while (table_next(&t, &s, &len)) {
    len = table_trim(s, len);
    case_lowerb(s, len);
    if (len && *s != '#') table_put(s, len, "", 0);
  }
  table_commit();
  return 0;
}
