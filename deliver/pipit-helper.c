/* pipit-helper.c - the small programs for dot-qmail lines, in one file with many names
 *
 * usage: NAME argument...
 *        pipit-helper NAME argument...
 *
 * make and make install link it to the names that the table has; each has a
 * manual page.
 *
 * exit: that of the program; 100 for a name that there is none of.
 */

#include <string.h>

#include <skalibs/strerr.h>

#include "helper.h"
#include "program.h"

static struct {
  char const *name;
  helper_main *main;
} const programs[] = {
    {"bouncesaying", bouncesaying_main},
    {"condredirect", condredirect_main},
    {"datemail", datemail_main},
    {"dot-forward", dotforward_main},
    {"except", except_main},
    {"fastforward", fastforward_main},
    {"forward", forward_main},
    {"maildir2mbox", maildir2mbox_main},
    {"maildirmake", maildirmake_main},
    {"mailsubj", mailsubj_main},
    {"newaliases", newaliases_main},
    {"newinclude", newinclude_main},
    {"pipit-vacation", vacation_main},
    {"predate", predate_main},
    {"preline", preline_main},
    {"printforward", printforward_main},
    {"printmaillist", printmaillist_main},
    {"qmail-autoresponder", autoresponder_main},
    {"qreceipt", qreceipt_main},
    {"setforward", setforward_main},
    {"setmaillist", setmaillist_main},
    {"vacation", vacation_main},
};

static helper_main *find(char const *name)
{
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
    if (!strcmp(programs[i].name, name)) return programs[i].main;
  return 0;
}

int main(int argc, char const *const *argv)
{
  char const *name = program_called(argc ? argv[0] : 0);
  helper_main *run = find(name);
  if (!run && argc > 1) {
    argc--;
    argv++;
    name = program_called(argv[0]);
    run = find(name);
  }
  program_start(run ? name : "pipit-helper");
  if (!run) strerr_dieusage(EXIT_PERMANENT, "pipit-helper NAME argument..., for one of its names");
  return run(argc, argv);
}
