/* pipit-passwd.h - a program that is a name of pipit-checkpass; see pipit-passwd.c */
#ifndef PIPIT_TOOLS_PIPIT_PASSWD_H
#define PIPIT_TOOLS_PIPIT_PASSWD_H

#include "names.h"

extern names_main passwd_main;

#endif
