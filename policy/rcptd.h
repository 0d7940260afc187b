/* rcptd.h - what the modules of pipit-rcptd share
 *
 * Three processes: the main one, which has the socket and decides, with two that it asks over
 * socketpairs, one packet a question and one an answer. Both are forked without exec before
 * anything from outside is read.
 *   look    sees whether dot-qmail files are there, in homes that are closed to others
 *   passwd  asks the password database, which may take its time
 */
#ifndef PIPIT_POLICY_RCPTD_H
#define PIPIT_POLICY_RCPTD_H

#include <limits.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#include "accounts.h"
#include "finduser.h"
#include "mailuser.h"
#include "rcptwire.h"
#include "rewrite.h"

#define RCPTD_SECONDS     5  /* that a question may take; then it cannot be told */
#define RCPTD_ALIASES_MAX 16 /* files that control/rcptaliases may name */
#define RCPTD_PACKET_MAX  (PATH_MAX + 4096) /* bytes between the processes */

/* --- rcptd-look.c */

/* The answers of look, one byte. The question: home, dash and extension, a NUL behind each. */
enum look {
  LOOK_FILE = 'f',    /* there is a file for this extension */
  LOOK_DEFAULT = 'd', /* there is one, and it is .qmail<dash>default */
  LOOK_NONE = 'n',
  LOOK_TROUBLE = '?'
};

/* Give up all system calls but those that look_run needs: as sandbox_allow_only. */
extern int look_confine(void);

/* Answer on descriptor 0 until that ends. <guarded>: this process sees more than those may who
 * ask, and follows no symbolic link that is not root's. */
extern void look_run(int guarded) __attribute__((noreturn));

/* --- rcptd-passwd.c */

/* The answers of passwd: 'u' with uid, gid, user, home, dash and ext, a NUL behind each; or one
 * byte. The question is a local part. */
enum passwd_answer { PASSWD_USER = 'u', PASSWD_NONE = 'n', PASSWD_TROUBLE = '?' };

/* Answer on descriptor 0 until that ends. */
extern void passwd_run(void) __attribute__((noreturn));

/* Read the answer s[0..len) into <u>: as getpw_find. */
extern int passwd_read(char const *s, size_t len, struct mailuser *u);

/* --- rcptd-judge.c: what is to be said of an address */

struct judge {
  struct accounts const *accounts;
  char const *home;     /* of the instance, absolute */
  struct rewrite rewrite;
  stralloc aliases;     /* control/rcptaliases; a NUL behind each */
  struct cdbmap_stamp aliases_sound[RCPTD_ALIASES_MAX];
  uint64_t stamp;       /* of the control files that were read */
  uint64_t checked;     /* when they were looked at */
  struct finduser_stamps users;
};

enum judgement {
  JUDGE_YES = RCPTWIRE_YES,
  JUDGE_REMOTE = RCPTWIRE_REMOTE,
  JUDGE_NO = RCPTWIRE_NO,
  JUDGE_TROUBLE = RCPTWIRE_TROUBLE,
  JUDGE_PASSWD = 'P', /* passwd is to be asked what stands in the packet */
  JUDGE_LOOK = 'L'    /* look is */
};

struct question {
  stralloc address;     /* rewritten */
  stralloc packet;      /* for the process that is to be asked */
  stralloc target;      /* in the alias account: what its .qmail-default gets */
  int asked_passwd;     /* it has answered: */
  int found;            /*   as getpw_find */
  struct mailuser user; /*   and whom */
};
#define QUESTION_ZERO                                                                              \
  {                                                                                                \
    .address = STRALLOC_ZERO, .packet = STRALLOC_ZERO, .target = STRALLOC_ZERO,                    \
    .user = MAILUSER_ZERO                                                                          \
  }

/* Read the control files. 1, or 0 with control_why(): what was read before stays. */
extern int judge_load(struct judge *j);
/* Has one of them changed? Looks once a second. */
extern int judge_changed(struct judge *j);

/* Begin with addr[0..len). */
extern enum judgement judge_begin(struct judge *j, struct question *q, char const *addr,
                                  size_t len);
/* Go on with an answer. */
extern enum judgement judge_passwd(struct judge *j, struct question *q, char const *answer,
                                   size_t len);
extern enum judgement judge_look(struct judge *j, struct question *q, enum look answer);
extern void judge_free(struct question *q);

/* --- rcptd-loop.c */

struct rcptd {
  struct judge judge;
  int listener;
  int look, passwd; /* sockets; passwd is -1 where the password database is not asked */
  int ready_fd;
};

/* Serve until SIGTERM. */
extern void loop_run(struct rcptd *d);

#endif
