/* pipit-start.h - what pipit-lspawn is when it is called pipit-start */
#ifndef PIPIT_START_H
#define PIPIT_START_H

#include "names.h"

extern names_main start_main;

#endif
