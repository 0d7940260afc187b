/* sessions.h - the children of pipit-smtpd -l: which runs for whom, and which waits */
#ifndef PIPIT_SMTPD_SESSIONS_H
#define PIPIT_SMTPD_SESSIONS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct running {
  pid_t pid;
  int fd;           /* leads to it, for the next connection; -1: it takes no more */
  int busy;         /* has a session */
  uint64_t network; /* of the client */
  uint64_t turn;    /* when it became idle: the highest is the last one */
};
struct sessions {
  size_t count;  /* children */
  size_t busy;   /* those with a session */
  uint64_t turn;
  size_t room;
  struct running *list;
};

/* What counts as one client: an IPv4 address, or the /64 of an IPv6 address. */
#define SESSIONS_NO_NETWORK UINT64_MAX /* no client's: it is not counted by the client */
extern uint64_t sessions_network(struct sockaddr_storage const *sa);

/* Make room for one more. 1, or 0 with ENOMEM. */
extern int sessions_reserve(struct sessions *s);
/* A child with its first session; <fd> is closed here when the time has come. */
extern void sessions_add(struct sessions *s, pid_t pid, int fd, uint64_t network);
extern void sessions_remove(struct sessions *s, pid_t pid);
/* Sessions of a client. */
extern size_t sessions_of(struct sessions const *s, uint64_t network);

/* The child <pid> has ended its session, and waits. */
extern void sessions_ended(struct sessions *s, pid_t pid);
/* The child that has waited for the shortest time (its memory is still in the
 * caches, and the others may end), or NULL. Good until the next change. */
extern struct running *sessions_idle(struct sessions const *s);
extern void sessions_begin(struct sessions *s, struct running *r, uint64_t network);

/* Send no more connections to it: it ends when it has no session (any more). */
extern void sessions_retire(struct running *r);
extern void sessions_retire_all(struct sessions const *s);
extern void sessions_kill(struct sessions const *s, int sig);

#endif
