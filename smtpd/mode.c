/* mode.c - what is known before main has looked; see mode.h */

#include "mode.h"

struct mode mode = { .program = "pipit-smtpd", .port = "25", .rules = "control/tcp.smtp.cdb",
                     MODE_SMTP };
