/* pipit-relayopen.h - two programs that are names of pipit-authd; see pipit-relayopen.c */
#ifndef PIPIT_AUTH_PIPIT_RELAYOPEN_H
#define PIPIT_AUTH_PIPIT_RELAYOPEN_H

#include "names.h"

extern names_main relayopen_main, authok_main;

#endif
