/* admin.h - the programs of pipit-admin: each returns its exit code */
#ifndef PIPIT_TOOLS_ADMIN_H
#define PIPIT_TOOLS_ADMIN_H

#include "names.h"

extern names_main flush_main, getpw_main, hold_main, newmailboxes_main, newmrh_main, newu_main,
    ofmipname_main, pw2u_main, qread_main, qstat_main, queue_rm_main, release_main, tcpok_main,
    tcpto_main, verify_main;

#endif
