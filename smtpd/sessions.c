/* sessions.c - the list of children; see sessions.h */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "sessions.h"

#define STEP 64
#define IPV4 0xffff000000000000u /* IPv6 addresses that begin like this are multicast: no clients */

uint64_t sessions_network(struct sockaddr_storage const *sa)
{
  unsigned char const *b;
  uint64_t n = 0;
  if (sa->ss_family == AF_INET)
    return IPV4 | ntohl(((struct sockaddr_in const *)sa)->sin_addr.s_addr);
  if (sa->ss_family != AF_INET6) return 0;
  b = ((struct sockaddr_in6 const *)sa)->sin6_addr.s6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 const *)sa)->sin6_addr))
    return IPV4 | (uint64_t)b[12] << 24 | (uint64_t)b[13] << 16 | (uint64_t)b[14] << 8 | b[15];
  for (int i = 0; i < 8; i++) n = n << 8 | b[i];
  return n;
}

int sessions_reserve(struct sessions *s)
{
  if (s->count < s->room) return 1;
  struct running *p = reallocarray(s->list, s->room + STEP, sizeof *p);
  if (!p) return 0;
  s->list = p;
  s->room += STEP;
  return 1;
}

void sessions_add(struct sessions *s, pid_t pid, int fd, uint64_t network)
{
  struct running *r = s->list + s->count++;
  *r = (struct running){ .pid = pid, .fd = fd };
  sessions_begin(s, r, network);
}

static struct running *find(struct sessions const *s, pid_t pid)
{
  for (size_t i = 0; i < s->count; i++)
    if (s->list[i].pid == pid) return s->list + i;
  return 0;
}

void sessions_remove(struct sessions *s, pid_t pid)
{
  struct running *r = find(s, pid);
  if (!r) return;
  s->busy -= (size_t)r->busy;
  sessions_retire(r);
  *r = s->list[--s->count];
}

size_t sessions_of(struct sessions const *s, uint64_t network)
{
  size_t n = 0;
  for (size_t i = 0; i < s->count; i++) n += s->list[i].busy && s->list[i].network == network;
  return n;
}

void sessions_ended(struct sessions *s, pid_t pid)
{
  struct running *r = find(s, pid);
  if (!r) return;
  s->busy -= (size_t)r->busy;
  r->busy = 0;
  r->turn = ++s->turn;
}

struct running *sessions_idle(struct sessions const *s)
{
  struct running *best = 0;
  for (size_t i = 0; i < s->count; i++) {
    struct running *r = s->list + i;
    if (r->fd != -1 && !r->busy && (!best || r->turn > best->turn)) best = r;
  }
  return best;
}

void sessions_begin(struct sessions *s, struct running *r, uint64_t network)
{
  r->busy = 1;
  r->network = network;
  s->busy++;
}

void sessions_retire(struct running *r)
{
  if (r->fd == -1) return;
  close(r->fd);
  r->fd = -1;
}

void sessions_retire_all(struct sessions const *s)
{
  for (size_t i = 0; i < s->count; i++) sessions_retire(s->list + i);
}

void sessions_kill(struct sessions const *s, int sig)
{
  for (size_t i = 0; i < s->count; i++) kill(s->list[i].pid, sig);
}
