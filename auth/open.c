/* open.c - addresses that may relay for a while; see open.h */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <skalibs/stralloc.h>
#include <skalibs/types.h>

#include "control.h"
#include "getpw.h"
#include "open.h"

#define SECONDS_MAX 1000000
#define USERS_MAX   64

struct address {
  struct in6_addr ip;
  uint64_t until; /* clock_ms; past: the place is free */
  uid_t uid;
};

static struct address addresses[OPEN_MAX];
static unsigned long seconds;
static uid_t users[USERS_MAX];
static size_t nusers;
static int everybody;

/* A name, a number, or "*". 1, or 0 with control_why(). */
static int add_user(char const *s)
{
  char text[160];
  unsigned int uid;
  gid_t gid;
  if (!strcmp(s, "*")) return everybody = 1;
  if (nusers == USERS_MAX) return control_bad("relayopenusers", "too many lines"), 0;
  if (uint0_scan(s, &uid)) users[nusers] = uid;
  else if (getpw_ids(s, &users[nusers], &gid) != 1) {
    snprintf(text, sizeof text, "\"%.80s\": no such user", s);
    return control_bad_entry("relayopenusers", text), 0;
  }
  nusers++;
  return 1;
}

int open_load(void)
{
  stralloc list = STRALLOC_ZERO;
  unsigned long n = 0;
  int ok = control_number("relayopentime", &n, SECONDS_MAX) != -1 &&
           control_list("relayopenusers", &list) != -1;
  if (ok) nusers = 0, everybody = 0;
  for (size_t i = 0; ok && i < list.len; i += strlen(list.s + i) + 1) ok = add_user(list.s + i);
  stralloc_free(&list);
  if (ok) seconds = n;
  return ok;
}

unsigned long open_time(void)
{
  return seconds;
}

int open_is_permitted(uid_t uid)
{
  for (size_t i = 0; i < nusers; i++)
    if (users[i] == uid) return 1;
  return everybody;
}

static int read_address(struct in6_addr *a, char const *ip)
{
  char mapped[INET6_ADDRSTRLEN + 8];
  if (strlen(ip) >= INET6_ADDRSTRLEN) return 0;
  if (inet_pton(AF_INET6, ip, a) == 1) return 1;
  snprintf(mapped, sizeof mapped, "::ffff:%s", ip);
  return strchr(ip, '.') && inet_pton(AF_INET6, mapped, a) == 1;
}

int open_add(char const *ip, uid_t uid, int limited, uint64_t now)
{
  struct in6_addr a;
  struct address *place = 0;
  size_t own = 0;
  if (!seconds || !read_address(&a, ip)) return 0;
  for (size_t i = 0; i < OPEN_MAX; i++) {
    struct address *x = &addresses[i];
    if (x->until <= now) {
      if (!place) place = x;
    } else if (!memcmp(&x->ip, &a, sizeof a)) {
      place = x;
      own = 0;
      break;
    } else {
      own += x->uid == uid;
    }
  }
  if (!place || (limited && own >= OPEN_PER_UID)) return 0;
  *place = (struct address){ .ip = a, .until = now + seconds * 1000, .uid = uid };
  return 1;
}

int open_has(char const *ip, uint64_t now)
{
  struct in6_addr a;
  if (!seconds || !read_address(&a, ip)) return 0;
  for (size_t i = 0; i < OPEN_MAX; i++)
    if (addresses[i].until > now && !memcmp(&addresses[i].ip, &a, sizeof a)) return 1;
  return 0;
}
