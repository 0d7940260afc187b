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

#include "helper.h"

static struct names const programs[] = {
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
    {"predate", predate_main},
    {"preline", preline_main},
    {"printforward", printforward_main},
    {"printmaillist", printmaillist_main},
    {"autoresponder", autoresponder_main},
    {"pop3d", pop3d_main},
    {"qreceipt", qreceipt_main},
    {"setforward", setforward_main},
    {"setmaillist", setmaillist_main},
    {"vacation", vacation_main},
};

int main(int argc, char const *const *argv)
{
  return names_run("pipit-helper", programs, sizeof programs / sizeof *programs, argc, argv);
}
