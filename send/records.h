/* records.h - read the envelope of a queue file, record by record (lib/qfile.h) */
#ifndef PIPIT_SEND_RECORDS_H
#define PIPIT_SEND_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#include "qfile.h"

#define RECORD_MAX 4096 /* bytes of a record with its NUL */

struct records {
  int fd;
  uint64_t next; /* offset in the file of the record that comes next */
  uint64_t end;
  size_t at, have;
  char buf[2 * RECORD_MAX];
};

/* Read from the record at <from> (an offset in the file; 0: the first one). */
extern void records_open(struct records *e, int fd, struct qfile const *q, uint64_t from);

/* The next record: its letter (F, X or T) and s[0..len), NUL-terminated, good
 * until the next call. 1; 0 at the end; -1 with errno (EPROTO: damaged). */
extern int records_next(struct records *e, char *letter, char const **s, size_t *len);

#endif
