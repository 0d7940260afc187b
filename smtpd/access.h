/* access.h - the tcprules file of pipit-smtpd -l: who may connect, and with which environment */
#ifndef PIPIT_SMTPD_ACCESS_H
#define PIPIT_SMTPD_ACCESS_H

#include <stdint.h>
#include <sys/types.h>

#include <skalibs/stralloc.h>

struct cdbmap;

struct access {
  char const *path; /* given with -x, or NULL: control/tcp.smtp.cdb if it is there */
  struct cdbmap *map; /* or NULL: everybody may connect */
  int allow_program; /* 0: the process cannot execute any more, so rules must not set QMAILQUEUE */
  int networks;      /* the file may have rules for network/bits */
  int missing;       /* the file of -x has vanished, which was told once */
  dev_t dev;
  ino_t ino;
  int64_t mtime;
  off_t size;
};

/* Open the file, or open it anew when it is another one than before; in doubt
 * the old one stays. 1, or 0 with access_why(). */
extern int access_refresh(struct access *a);
extern char const *access_why(void);

/* Does a rule set QMAILQUEUE or RCPTCHECK, and is there a use for them? */
extern int access_sets_program(struct access const *a);

/* Look the client up: 1 it may connect, and its instructions are in <rule>; 0 it
 * may not; -1 the file is damaged, or memory is short. */
extern int access_check(struct access const *a, char const *ip, stralloc *rule);

/* Put what the instructions set into the environment; <rule> has to stay. */
extern void access_apply(stralloc *rule);

#endif
