/* expand.h - what a database of aliases makes of one recipient, for fastforward */
#ifndef PIPIT_EXPAND_H
#define PIPIT_EXPAND_H

#include <stddef.h>

#include <skalibs/stralloc.h>

#include "aliases.h"
#include "cdbmap.h"

struct expand {
  char const *path; /* of the database */
  struct cdbmap *db;
  int describe; /* run nothing: say it */
  int ran;      /* a program was run */
  int skipped;  /* an address led back to itself */
  stralloc forward; /* the addresses that it leads to, each with a NUL behind it */
  stralloc todo;    /* the rest is private */
  size_t steps;
  void *seen;
};

/* Say something on stderr, where <s> has no line end. */
extern void expand_say(char const *before, char const *s, char const *after);

/* The database cannot be read (errno). */
extern void expand_failed(struct expand const *e) __attribute__((noreturn));

/* Set <value> to what the database has of that kind; as aliases_find, but for errors. */
extern int expand_get(struct expand *e, enum aliases_kind kind, char const *addr, int wild,
                      stralloc *value);

/* Follow the instructions of <recipient>, and those that they lead to: run programs, and
 * collect addresses. 1, or 0 when the database does not know him. */
extern int expand_recipient(struct expand *e, char const *recipient);

#endif
