/* verdict.h - what the end of a program line's program means; qmail-command(8), sysexits.h */
#ifndef PIPIT_VERDICT_H
#define PIPIT_VERDICT_H

#define VERDICT_STOP 99

/* From waitpid's status: 0 it succeeded, VERDICT_STOP it did and nothing else is to be done,
 * EXIT_PERMANENT it never will, EXIT_TEMPORARY all else, a signal too. */
extern int verdict(int wstat);

#endif
