/* pipit-admin.c - what an administrator types, in one file with many names
 *
 * usage: NAME argument...
 *        pipit-admin NAME argument...
 *
 * make and make install link it to pipit-NAME for the names that the table has, pipit-compat to
 * qmail-NAME; each has a manual page.
 *
 * exit: that of the program; 100 for a name that there is none of.
 */

#include "admin.h"

static struct names const programs[] = {
    {"flush", flush_main},
    {"getpw", getpw_main},
    {"hold", hold_main},
    {"newmailboxes", newmailboxes_main},
    {"newmrh", newmrh_main},
    {"newu", newu_main},
    {"ofmipname", ofmipname_main},
    {"pw2u", pw2u_main},
    {"qread", qread_main},
    {"qstat", qstat_main},
    {"queue-rm", queue_rm_main},
    {"release", release_main},
    {"tcpok", tcpok_main},
    {"tcpto", tcpto_main},
    {"verify", verify_main},
};

int main(int argc, char const *const *argv)
{
  return names_run("pipit-admin", programs, sizeof programs / sizeof *programs, argc, argv);
}
