/* pipit-lmtp.h - what pipit-remote is when it is called pipit-lmtp */
#ifndef PIPIT_REMOTE_LMTP_H
#define PIPIT_REMOTE_LMTP_H

#include "names.h"

extern names_main lmtp_main;

#endif
