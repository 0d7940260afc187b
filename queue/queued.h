/* queued.h - what the modules of pipit-queued share */
#ifndef PIPIT_QUEUED_H
#define PIPIT_QUEUED_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include <skalibs/stralloc.h>

#include "accounts.h"
#include "queuewire.h"

struct settings { /* control files; read at the start and after HUP */
  stralloc me;
  uint64_t children;       /* concurrencyqueue: connections at a time */
  uint64_t peruser;        /* concurrencyqueueuser: those of one ordinary uid */
  uint64_t reserve_bytes;  /* queuereserve: what is kept free */
  uint64_t reserve_inodes;
  uint64_t pool_files;     /* queuepool: the bounds of queue/free/ */
  uint64_t pool_bytes;
};
#define SETTINGS_ZERO { .me = STRALLOC_ZERO }

/* Read the control files into <s>, which is unchanged on failure. 1, or 0 with
 * errno and control_why(). */
extern int settings_read(struct settings *s);

struct pool;

struct queue {
  int dir;             /* queue/, open for reading */
  unsigned int split;  /* subdirectories of mess/ */
  uid_t owner;         /* of all that lies in it */
  struct accounts accounts;
  struct settings settings;
  _Atomic uint64_t *lastid; /* shared by all processes: ids.h */
  struct pool *pool;        /* shared by all processes: pool.h */
};

/* Is there room for <bytes> more, with the reserve kept? 1, or 0 with errno
 * (ENOSPC, or the error of fstatvfs). */
extern int queue_room(struct queue const *q, uint64_t bytes);

/* One line on stderr: "alert: queued: <what>: <error of errno>" (or without
 * the error when errno is 0), and the same with "warning". */
extern void queue_alert(char const *what);
extern void queue_warning(char const *what);

#endif
