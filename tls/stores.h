/* stores.h - whom pipit-tlsd believes about TLS servers
 *
 * control/serverca.pem, or without it what the system believes; and by name control/serverca/NAME.pem.
 */
#ifndef PIPIT_TLS_STORES_H
#define PIPIT_TLS_STORES_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#define STORES_NAME_MAX  63 /* bytes of a name */
#define STORES_MAX       64 /* files in control/serverca */
#define STORES_PATH_ROOM 96 /* bytes of a file's path, with NUL */

struct store {
  char name[STORES_NAME_MAX + 1];
  X509_STORE *store;
};
struct stores {
  X509_STORE *all;  /* for who names none */
  char const *file; /* where that is from */
  size_t count;
  struct store list[STORES_MAX];
};

/* A number that changes with the files. */
extern uint64_t stores_stamp(uint64_t stamp);

/* Read the files, and replace <s>. For a file that is broken a line on stderr tells, and what was
 * read from it before stays. 1, or 0: out of memory. */
extern int stores_read(struct stores *s);

/* The store of that name ("": the one for all), or NULL. */
extern X509_STORE *stores_find(struct stores const *s, char const *name);

/* The file that it is read from. */
extern void stores_path(struct stores const *s, char path[STORES_PATH_ROOM], char const *name);

#endif
