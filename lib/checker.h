/* checker.h - run a checkpassword program (http://cr.yp.to/checkpwd/interface.html)
 *
 * It reads login, secret and more from descriptor 3, and on success becomes the user and
 * executes its arguments. What it exits with counts: 0 (of the last program), what checker_refused
 * knows; all others are trouble.
 */
#ifndef PIPIT_CHECKER_H
#define PIPIT_CHECKER_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHECKER_REFUSED 1
#define CHECKER_DATA_MAX 512 /* bytes on descriptor 3 */

/* The end of a pipe from which s[0..len) can be read; <len> is at most CHECKER_DATA_MAX.
 * -1 with errno. */
extern int checker_data(char const *s, size_t len);

/* Start argv[0], found as the shell would, with <in> and <out> on 0 and 1 (-1: /dev/null, and
 * the log), <data> on 3 and, unless it is -1, <extra> on 4; other descriptors are closed. All
 * stay open here. The pid, or -1 with errno. */
extern pid_t checker_start(char *const *argv, int data, int extra, int in, int out);

/* Does that exit code say that the login or the password is wrong? The interface's 1 does. vpopmail's
 * vchkpw tells more: 3 of a password that is wrong or a user who is unknown, 20 to 23 of a login that is
 * none, a user whom the system has not, and his wrong password. */
extern int checker_refused(int code);

/* Wait for it until <end> (clock_ms), or until <*stop>, which may be NULL; then it is killed.
 * What it exited with; EXIT_TEMPORARY where it was killed. */
extern int checker_wait(pid_t pid, uint64_t end, volatile sig_atomic_t const *stop);

#endif
