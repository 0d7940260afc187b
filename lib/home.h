/* home.h - where the instance lies: control/, queue/, run/ and the rest
 *
 * The home is $PIPIT_HOME; without it, the parent of the bin/ that the running
 * program lies in, when that holds control/me; without that, the first line of
 * conf-home. No program is setuid, so believing the environment gives nobody
 * a right that he does not have.
 */
#ifndef PIPIT_HOME_H
#define PIPIT_HOME_H

#include <sys/un.h>

/* The home's path, without a final slash. Never NULL; the storage is static. */
extern char const *home_dir(void);

/* A descriptor (O_PATH, close-on-exec) of the home, opened at the first call
 * and kept; -1 with errno when it cannot be opened. For openat() and fstatat(). */
extern int home_fd(void);

/* Close it. The next call opens it anew. */
extern void home_close(void);

/* chdir to the home. 1, or 0 with errno. */
extern int home_enter(void);

/* The address of the Unix socket <name> below the home, also where its path is
 * too long for one. 1, or 0 with errno. */
extern int home_socket(struct sockaddr_un *sa, char const *name);

/* The path of one of pipit's programs: beside the running program when it is
 * there, else in the home's bin/. Static storage, good until the next call. */
extern char const *home_program(char const *name);

#endif
