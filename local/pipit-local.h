/* pipit-local.h - what pipit-lspawn is when it is called pipit-local */
#ifndef PIPIT_LOCAL_H
#define PIPIT_LOCAL_H

#include "names.h"

extern names_main local_main;

#endif
