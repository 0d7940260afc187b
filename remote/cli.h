/* cli.h - qmail-remote's interface: one message from the command line */
#ifndef PIPIT_REMOTE_CLI_H
#define PIPIT_REMOTE_CLI_H

#include "job.h"

/* Deliver the message of <j> (fd, offset, length) to args[0] (host) from args[1]
 * to args[2..n), and write the report to standard output. Returns the exit code. */
extern int cli_run(struct job *j, int n, char const *const *args);

/* Write a report of one letter and text alone. */
extern int cli_report(char letter, char const *text);

#endif
