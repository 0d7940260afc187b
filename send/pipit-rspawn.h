/* pipit-rspawn.h - what pipit-remote is when it is called pipit-rspawn */
#ifndef PIPIT_SEND_RSPAWN_H
#define PIPIT_SEND_RSPAWN_H

#include "names.h"

extern names_main rspawn_main;

#endif
