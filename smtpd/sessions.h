/* sessions.h - the children of pipit-smtpd -l: which runs for whom */
#ifndef PIPIT_SMTPD_SESSIONS_H
#define PIPIT_SMTPD_SESSIONS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct running {
  pid_t pid;
  uint64_t network;
};
struct sessions {
  size_t count;
  size_t room;
  struct running *list;
};

/* What counts as one client: an IPv4 address, or the /64 of an IPv6 address. */
extern uint64_t sessions_network(struct sockaddr_storage const *sa);

/* Make room for one more. 1, or 0 with ENOMEM. */
extern int sessions_reserve(struct sessions *s);
extern void sessions_add(struct sessions *s, pid_t pid, uint64_t network);
extern void sessions_remove(struct sessions *s, pid_t pid);
extern size_t sessions_of(struct sessions const *s, uint64_t network);
extern void sessions_kill(struct sessions const *s, int sig);

#endif
