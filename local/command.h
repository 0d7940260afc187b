/* command.h - run a program line of a dot-qmail file */
#ifndef PIPIT_COMMAND_H
#define PIPIT_COMMAND_H

#include "message.h"
#include "report.h"

#define COMMAND_STOP 99 /* the exit code for: delivered, read no further lines */

/* Run /bin/sh -c <line> with the kept message, from its start, on descriptor 0
 * and an offset of its own; with the signals of a fresh program, and the memory limit
 * that we were started with. 1 delivered; COMMAND_STOP; or 0 and <r>, with an empty text when
 * the program has said what there is to say. */
extern int command_run(struct message const *m, char const *line, struct report *r);

#endif
