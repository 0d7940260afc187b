/* settings.h - the control files of a remote delivery, read anew for each connection */
#ifndef PIPIT_REMOTE_SETTINGS_H
#define PIPIT_REMOTE_SETTINGS_H

#include <skalibs/stralloc.h>

struct settings {
  stralloc me;   /* control/me */
  stralloc helo; /* control/helohost, default me: what EHLO says */
  unsigned long timeoutconnect, timeoutremote; /* seconds */
  unsigned long messages; /* control/connectionmessages: on one connection */
  unsigned long idle;     /* control/connectionidle: seconds that it is kept without a job */
};
#define SETTINGS_ZERO { .me = STRALLOC_ZERO, .helo = STRALLOC_ZERO }

/* 1, or 0 with settings_why(): always a temporary failure. */
extern int settings_load(struct settings *s);
extern char const *settings_why(void);

/* The shorter of a stage's time and timeoutremote. */
extern unsigned int settings_stage(struct settings const *s, unsigned int stage);

#endif
