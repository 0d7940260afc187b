/* sessions.c - count children, in all and per client; see sessions.h */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

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

void sessions_add(struct sessions *s, pid_t pid, uint64_t network)
{
  s->list[s->count++] = (struct running){ .pid = pid, .network = network };
}

void sessions_remove(struct sessions *s, pid_t pid)
{
  for (size_t i = 0; i < s->count; i++) {
    if (s->list[i].pid != pid) continue;
    s->list[i] = s->list[--s->count];
    return;
  }
}

size_t sessions_of(struct sessions const *s, uint64_t network)
{
  size_t n = 0;
  for (size_t i = 0; i < s->count; i++) n += s->list[i].network == network;
  return n;
}

void sessions_kill(struct sessions const *s, int sig)
{
  for (size_t i = 0; i < s->count; i++) kill(s->list[i].pid, sig);
}
