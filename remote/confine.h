/* confine.h - what a process that speaks to servers keeps */
#ifndef PIPIT_REMOTE_CONFINE_H
#define PIPIT_REMOTE_CONFINE_H

/* Give up, for good, writing files, reading any but the settings and where resolv.conf may lie,
 * executing programs, and more than a little memory. Sockets can be connected to as before, Unix
 * sockets by their paths too. NULL, or what failed, with errno. */
extern char const *confine(void);

#endif
