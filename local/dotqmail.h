/* dotqmail.h - find the dot-qmail file of an address, and read it: dot-qmail(5) */
#ifndef PIPIT_DOTQMAIL_H
#define PIPIT_DOTQMAIL_H

#include <stddef.h>

#include <skalibs/stralloc.h>

#include "report.h"

#define DOTQMAIL_MAX    4194304 /* bytes of a dot-qmail file; a larger one is refused */
#define DOTQMAIL_PATRN  002     /* permissions that a home or a dot-qmail file must not give */
#define DOTQMAIL_NOTDEF SIZE_MAX

/* A file that was found. */
struct dotqmail_file {
  int fd;             /* -1: there is none */
  int forwardonly;    /* its owner-execute bit is set */
  size_t defaultfrom; /* $DEFAULT begins here in ext; DOTQMAIL_NOTDEF: not a default file */
};

enum instruction_kind {
  INSTRUCTION_MAILDIR,
  INSTRUCTION_MBOX,
  INSTRUCTION_PROGRAM,
  INSTRUCTION_FORWARD
};

struct instruction {
  enum instruction_kind kind;
  char const *text; /* the path, command or address; NUL-terminated */
};

struct dotqmail {
  stralloc text;
  struct instruction *list;
  size_t count;
  size_t programs, forwards; /* of these */
  char const
      *refusal; /* when not NULL: the line after the last one in <list> may not stand there */
};

/* Look in the current directory for the file of <ext>: .qmail<dash><ext>, then
 * .qmail<dash><prefix>default for each prefix of ext that ends with '-', the
 * longest first, then .qmail<dash>default. Case is ignored in ext, and '.' in
 * it stands for ':' in the name. 1 (also without a file), or 0 and <r>: temporary. */
extern int dotqmail_find(struct dotqmail_file *f, char const *dash, char const *ext,
                         struct report *r);

/* Is there a file .qmail<dash><ext><suffix>? 1, 0, or -1 and <r>: temporary. */
extern int dotqmail_exists(char const *dash, char const *ext, char const *suffix, struct report *r);

/* Read the file, which is closed, into <q>; an empty one and none stand for
 * <fallback>. 1, or 0 and <r>: temporary. */
extern int dotqmail_read(struct dotqmail *q, struct dotqmail_file *f, char const *fallback,
                         struct report *r);
extern void dotqmail_free(struct dotqmail *q);

#endif
