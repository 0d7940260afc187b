/* self.c - is that this host? See self.h */

#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "self.h"

void self_open(struct self *s, struct settings const *settings)
{
  s->settings = settings;
  if (getifaddrs(&s->interfaces) == -1) s->interfaces = 0;
}

void self_close(struct self *s)
{
  if (s->interfaces) freeifaddrs(s->interfaces);
  s->interfaces = 0;
}

int self_is_name(struct self const *s, char const *name)
{
  return !strcasecmp(name, s->settings->me.s) || !strcasecmp(name, s->settings->helo.s);
}

static int is_same(struct sockaddr const *a, struct dns_ip const *ip)
{
  if (!a || a->sa_family != ip->family) return 0;
  if (ip->family == AF_INET)
    return !memcmp(&((struct sockaddr_in const *)(void const *)a)->sin_addr, ip->ip, 4);
  return !memcmp(&((struct sockaddr_in6 const *)(void const *)a)->sin6_addr, ip->ip, 16);
}

static int is_own_always(struct dns_ip const *ip)
{
  static unsigned char const zero[16];
  static unsigned char const mapped[12] = { [10] = 0xff, [11] = 0xff };
  unsigned char const *v4 = ip->ip;
  if (ip->family == AF_INET6) {
    if (!memcmp(ip->ip, zero, 16) || (!memcmp(ip->ip, zero, 15) && ip->ip[15] == 1)) return 1;
    if (memcmp(ip->ip, mapped, sizeof mapped)) return 0;
    v4 += sizeof mapped;
  }
  return v4[0] == 127 || !memcmp(v4, zero, 4);
}

int self_is_ip(struct self const *s, struct dns_ip const *ip)
{
  if (is_own_always(ip)) return 1;
  for (struct ifaddrs const *i = s->interfaces; i; i = i->ifa_next)
    if (is_same(i->ifa_addr, ip)) return 1;
  return 0;
}
