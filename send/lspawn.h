/* lspawn.h - what pipit-lspawn's loop and its children share */
#ifndef PIPIT_LSPAWN_H
#define PIPIT_LSPAWN_H

#include <stdint.h>
#include <sys/resource.h>

#include "accounts.h"
#include "cdbmap.h"
#include "mailuser.h"

/* Exit codes of a child that did not get as far as executing pipit-local;
 * those of qmail-lspawn where it has one. Each is a temporary failure. */
enum lspawn_exit {
  LSPAWN_OK = 0,
  LSPAWN_USAGE = 112,
  LSPAWN_ROOT = 113,
  LSPAWN_NFS = 115,
  LSPAWN_NOALIAS = 116,
  LSPAWN_CDB = 117,
  LSPAWN_SYS = 118,
  LSPAWN_NOMEM = 119,
  LSPAWN_EXEC = 120,
  LSPAWN_GETPW = 121
};

struct lspawn {
  struct accounts accounts;
  char const *home; /* of the instance, absolute */
  char const *defaultdelivery;
  struct cdbmap_stamp *stamp; /* shared with all children: the users/cdb that was sound */
  struct rlimit files;        /* as it was at the start, for the users' programs */
};

struct lspawn_job {
  int message; /* a pipe with <length> bytes */
  int report;  /* for descriptors 1 and 2 */
  uint64_t length;
  char const *sender;
  char const *rcpt; /* with an '@', and something before it */
};

/* Find out who gets mail for local[0..len). LSPAWN_OK and <u>, or why not; then
 * a line with the details is on descriptor 2. */
extern enum lspawn_exit lspawn_lookup(struct lspawn const *l, char const *local, size_t len,
                                      struct mailuser *u);

/* The rest of the life of a child: look the user up, become him, execute
 * pipit-local or $QMAILLOCAL. */
extern void lspawn_child(struct lspawn const *l, struct lspawn_job const *j)
    __attribute__((noreturn));

#endif
