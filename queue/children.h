/* children.h - the connections that queued serves, and whose they are */
#ifndef PIPIT_CHILDREN_H
#define PIPIT_CHILDREN_H

#include <stddef.h>
#include <sys/types.h>

#include "queued.h"

struct child {
  pid_t pid;
  uid_t uid;
};

struct children {
  size_t n;
  size_t room;
  struct child *list;
};
#define CHILDREN_ZERO { .n = 0 }

/* May another client with <uid> be served? NULL, or why not. */
extern char const *children_full(struct children const *c, struct queue const *q, uid_t uid);

/* Remember a child; children_ready has made room for it. */
extern void children_add(struct children *c, pid_t pid, uid_t uid);
/* 1, or 0 without memory. */
extern int children_ready(struct children *c);
/* Forget one: 1, or 0 when <pid> is none of them. */
extern int children_remove(struct children *c, pid_t pid);
extern void children_kill(struct children const *c, int sig);

#endif
