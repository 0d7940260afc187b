/* loader.h - the process that may read key files
 *
 * Key files are root's, mode 0600, and new ones come while pipit-tlsd runs. So before it
 * gives up root it forks this: a process of pipitt too, but with the one capability
 * to read any file. It never hears from a client, nor does it read what it opens: asked
 * by one byte whether something has changed, it passes descriptors of the files, by
 * names that stand in control/certs alone. Where the instance has one account, it has
 * that one's rights.
 */
#ifndef PIPIT_TLS_LOADER_H
#define PIPIT_TLS_LOADER_H

#include <limits.h>
#include <sys/types.h>

#include "accounts.h"

#define LOADER_CERTS      "control/certs"
#define LOADER_SERVERCERT "control/servercert.pem"
#define LOADER_DEFAULT    "default" /* the name of a certificate for all others */

struct loader {
  int fd;
  pid_t pid;
};

struct loader_file {
  int error;               /* errno, when it cannot be opened */
  char name[NAME_MAX + 1]; /* "": LOADER_SERVERCERT */
  char path[NAME_MAX + sizeof LOADER_CERTS + 16]; /* for messages, below the home */
};

/* Start it. As root, it becomes pipitt. 1, or 0 with errno. */
extern int loader_start(struct loader *l, struct accounts const *a);

/* Has any of the files changed since it was last asked (always: 1 in any case)? 1: then
 * loader_next has to be called until it is 0. 0 no; -1 the loader is gone. */
extern int loader_ask(struct loader const *l, int always);

/* The next certificate: fd[0] is its chain, fd[1] its key, or -1 where both are in one;
 * they are the caller's. 1; 0 there are no more; -1 the loader is gone. */
extern int loader_next(struct loader const *l, struct loader_file *f, int fd[2]);

#endif
