/* client.c - find out about the client; see client.h */

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <skalibs/types.h>

#include "client.h"
#include "tcprules.h"

#define TRACE_PART 256 /* bytes of one name in a Received line */

char const *const client_variables[] = {
  "TCPREMOTEIP", "TCPREMOTEHOST", "TCPREMOTEINFO", "TCPLOCALIP",
  "TCP6REMOTEIP", "TCP6REMOTEHOST", "TCP6REMOTEINFO", "TCP6LOCALIP",
  "RELAYCLIENT", "DATABYTES", "BRTLIMIT", "SMTPS", 0
};

void client_address(char text[INET6_ADDRSTRLEN], struct sockaddr_storage const *sa)
{
  text[0] = 0;
  if (sa->ss_family == AF_INET) {
    struct sockaddr_in const *in = (struct sockaddr_in const *)sa;
    inet_ntop(AF_INET, &in->sin_addr, text, INET6_ADDRSTRLEN);
  } else if (sa->ss_family == AF_INET6) {
    struct sockaddr_in6 const *in = (struct sockaddr_in6 const *)sa;
    if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr))
      inet_ntop(AF_INET, in->sin6_addr.s6_addr + 12, text, INET6_ADDRSTRLEN);
    else
      inet_ntop(AF_INET6, &in->sin6_addr, text, INET6_ADDRSTRLEN);
  }
}

/* Read an address: 1 and <*sa>, with family and address only. */
static int scan_address(struct sockaddr_storage *sa, char const *s)
{
  memset(sa, 0, sizeof *sa);
  sa->ss_family = strchr(s, ':') ? AF_INET6 : AF_INET;
  if (sa->ss_family == AF_INET)
    return inet_pton(AF_INET, s, &((struct sockaddr_in *)sa)->sin_addr) == 1;
  return inet_pton(AF_INET6, s, &((struct sockaddr_in6 *)sa)->sin6_addr) == 1;
}

/* As a rule says it, else as the environment does. */
static char const *variable(stralloc const *rule, char const *name)
{
  char const *s = rule ? tcprules_value(rule, name) : 0;
  return s ? s : getenv(name);
}

static char const *either(stralloc const *rule, char const *name, char const *name6)
{
  char const *s = variable(rule, name);
  if (!s || !*s) s = variable(rule, name6);
  return s && *s ? s : 0;
}

/* The address that we were told, as inet_ntop writes it; 0 when there is none. */
static int address_told(char text[INET6_ADDRSTRLEN], stralloc const *rule, char const *name,
                        char const *name6)
{
  struct sockaddr_storage sa;
  char const *s = either(rule, name, name6);
  text[0] = 0;
  if (s && scan_address(&sa, s)) client_address(text, &sa);
  return !!s;
}

static void address_from_socket(char text[INET6_ADDRSTRLEN], int fd,
                                int (*ask)(int, struct sockaddr *, socklen_t *))
{
  struct sockaddr_storage sa;
  socklen_t len = sizeof sa;
  sa.ss_family = AF_UNSPEC;
  if (ask(fd, (struct sockaddr *)&sa, &len) == 0 && len) client_address(text, &sa);
}

static int get_peer(int fd, struct sockaddr *sa, socklen_t *len)
{
  return getpeername(fd, sa, len);
}

static int get_local(int fd, struct sockaddr *sa, socklen_t *len)
{
  return getsockname(fd, sa, len);
}

static int own_address(struct client *c, stralloc const *rule)
{
  return address_told(c->localip, rule, "TCPLOCALIP", "TCP6LOCALIP");
}

void client_find(struct client *c, stralloc const *rule, int in)
{
  int told = address_told(c->ip, rule, "TCPREMOTEIP", "TCP6REMOTEIP");
  if (!told) address_from_socket(c->ip, in, get_peer);
  if (!c->ip[0]) snprintf(c->ip, sizeof c->ip, "%s", told ? "unknown" : "local");
  if (!own_address(c, rule)) address_from_socket(c->localip, in, get_local);
}

/* Read a number that may be there. 1, or 0 when it is none. */
static int number(stralloc const *rule, char const *name, int *there, unsigned long *n)
{
  char const *s = variable(rule, name);
  *there = s && *s;
  return !*there || ulong0_scan(s, n);
}

int client_load(struct client *c, stralloc const *rule)
{
  char const *smtps = variable(rule, "SMTPS");
  c->host = either(rule, "TCPREMOTEHOST", "TCP6REMOTEHOST");
  c->info = either(rule, "TCPREMOTEINFO", "TCP6REMOTEINFO");
  c->relay = variable(rule, "RELAYCLIENT");
  c->smtps = smtps && *smtps && strcmp(smtps, "0");
  if (!c->localip[0]) own_address(c, rule);
  return number(rule, "DATABYTES", &c->has_databytes, &c->databytes) &&
         number(rule, "BRTLIMIT", &c->has_brtlimit, &c->brtlimit);
}

static int same_address(struct sockaddr_storage const *a, struct sockaddr_storage const *b)
{
  char one[INET6_ADDRSTRLEN], two[INET6_ADDRSTRLEN];
  client_address(one, a);
  client_address(two, b);
  return one[0] && !strcmp(one, two);
}

static int is_on_interface(struct sockaddr_storage const *sa)
{
  struct ifaddrs *all, *i;
  int found = 0;
  if (getifaddrs(&all) == -1) return -1;
  for (i = all; i && !found; i = i->ifa_next) {
    struct sockaddr_storage own;
    if (!i->ifa_addr) continue;
    sa_family_t family = i->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    memcpy(&own, i->ifa_addr,
           family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    found = same_address(sa, &own);
  }
  freeifaddrs(all);
  return found;
}

int client_ip_is_mine(struct client const *c, char const *ip, size_t len)
{
  char text[INET6_ADDRSTRLEN];
  struct sockaddr_storage sa, local;
  if (len > 5 && !strncasecmp(ip, "IPv6:", 5)) {
    ip += 5;
    len -= 5;
  }
  if (len >= sizeof text) return 0;
  memcpy(text, ip, len);
  text[len] = 0;
  if (!scan_address(&sa, text)) return 0;
  if (scan_address(&local, c->localip) && same_address(&sa, &local)) return 1;
  return is_on_interface(&sa);
}

/* Copy a name for the Received line: what is not safe there becomes '?'. */
static char const *safe(char out[TRACE_PART], char const *s)
{
  static char const good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             ".@%+/=:-_[]";
  size_t i = 0;
  for (; s[i] && i < TRACE_PART - 1; i++) out[i] = strchr(good, s[i]) ? s[i] : '?';
  out[i] = 0;
  return out;
}

size_t client_trace(struct client const *c, char out[CLIENT_TRACE_MAX], char const *helo,
                    char const *me, char const *protocol)
{
  char name[TRACE_PART], host[TRACE_PART], info[TRACE_PART], by[TRACE_PART];
  char who[3 * TRACE_PART];
  char const *tag = strchr(c->ip, ':') ? "IPv6:" : "";
  if (c->hidden) {
    int len = snprintf(out, CLIENT_TRACE_MAX, "by %s with %s", safe(by, me), protocol);
    return len > 0 && len < CLIENT_TRACE_MAX ? (size_t)len : 0;
  }
  safe(host, c->host ? c->host : "unknown");
  safe(info, c->info ? c->info : "");
  if (strcmp(c->ip, "local"))
    snprintf(who, sizeof who, "%s%s%s [%s%s]", info, c->info ? "@" : "", host, tag, c->ip);
  else
    snprintf(who, sizeof who, "%s%slocal", info, c->info ? "@" : "");
  int n = snprintf(out, CLIENT_TRACE_MAX, "from %s (%s)\n\tby %s with %s",
                   safe(name, *helo ? helo : "unknown"), who, safe(by, me), protocol);
  return n > 0 && n < CLIENT_TRACE_MAX ? (size_t)n : 0;
}
