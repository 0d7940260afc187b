/* open.c - networks that may relay for a while; see open.h */

#include <stdio.h>
#include <string.h>

#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "control.h"
#include "failures.h"
#include "getpw.h"
#include "open.h"

#define SECONDS_MAX 1000000
#define USERS_MAX   64
#define TELL_MS     60000 /* between two lines about a full table */

struct network {
  size_t len;
  char s[FAILURES_NETWORK_SIZE]; /* zeros behind len */
};

struct place {
  struct network network;
  uint64_t until; /* clock_ms; past: the place is free */
  uid_t uid;
};

static struct place places[OPEN_MAX];
static uint64_t tell_again; /* clock_ms */
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

static int read_network(struct network *n, char const *ip)
{
  char s[FAILURES_ADDRESS];
  memset(n, 0, sizeof *n);
  n->len = failures_network(s, ip);
  memcpy(n->s, s, n->len);
  return n->len != 0;
}

static int is_same(struct network const *a, struct network const *b)
{
  return a->len == b->len && !memcmp(a->s, b->s, sizeof a->s);
}

/* Clients whose logins open nothing would never know why. */
static void tell_full(uint64_t now)
{
  if (now < tell_again) return;
  tell_again = now + TELL_MS;
  strerr_warnw("as many addresses as there is room for may relay by a login now; no others are opened");
}

int open_add(char const *ip, uid_t uid, int limited, uint64_t now)
{
  struct network n;
  struct place *place = 0;
  size_t own = 0;
  if (!seconds || !read_network(&n, ip)) return 0;
  for (size_t i = 0; i < OPEN_MAX; i++) {
    struct place *x = &places[i];
    if (x->until <= now) {
      if (!place) place = x;
    } else if (is_same(&x->network, &n)) {
      place = x;
      own = 0;
      break;
    } else {
      own += x->uid == uid;
    }
  }
  if (!place) tell_full(now);
  if (!place || (limited && own >= OPEN_PER_UID)) return 0;
  *place = (struct place){ .network = n, .until = now + seconds * 1000, .uid = uid };
  return 1;
}

int open_has(char const *ip, uint64_t now)
{
  struct network n;
  if (!seconds || !read_network(&n, ip)) return 0;
  for (size_t i = 0; i < OPEN_MAX; i++)
    if (places[i].until > now && is_same(&places[i].network, &n)) return 1;
  return 0;
}
