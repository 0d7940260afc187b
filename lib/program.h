/* program.h - what every program does before anything else */
#ifndef PIPIT_PROGRAM_H
#define PIPIT_PROGRAM_H

#include <sys/types.h>

#define EXIT_PERMANENT 100 /* wrong usage, or the same again would fail the same way */
#define EXIT_TEMPORARY 111 /* local trouble: try later */

/* Make the process fit to work in: closed descriptors 0 to 2 are plugged with
 * /dev/null (as is 6 or any other named with program_plug), SIGPIPE and SIGXFSZ
 * are ignored, so that such a write fails like any other, SIGCHLD reset, an odd
 * umask replaced by 077, PROG set for strerr.
 * Exits EXIT_TEMPORARY when descriptors cannot be plugged. Call it first. */
extern void program_start(char const *name);

#define PROGRAM_QMAIL_SEND "qmail-send" /* the name of pipit-send where it is started as qmail's */

/* The last component of the name <argv0> that a program was called by. */
extern char const *program_called(char const *argv0);

/* Plug descriptor <fd> with /dev/null when it is closed; 0 so that reading from it
 * fails: a message that is not there is not an empty one. 1, or 0 with errno. */
extern int program_plug(int fd);

/* For a program whose only option is -d fd, with what program_ready takes: that, or -1. Any other
 * argument is wrong usage. */
extern int program_only_ready(int argc, char const *const *argv, char const *usage);

/* For supervision: write a newline to <fd> and close it (s6's notification-fd).
 * Nothing when <fd> is negative or not open. */
extern void program_ready(int fd);

/* fork() for a process without threads, of which there are many children: what libc does for the sake of
 * threads would have each write into two pages of memory that it shares with its parent. */
extern pid_t program_fork(void);

#endif
