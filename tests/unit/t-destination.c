/* t-destination.c - recipients that wait by destination: turns, and taking some away, against a simple model */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "../../send/send.h"

#define RCPTS    4000
#define MESSAGES 50

static uint32_t seed = 4711;
static char in[RCPTS];
static struct msg messages[MESSAGES];

static uint32_t next(void)
{
  return (seed = seed * 1664525 + 1013904223) >> 8;
}

static void add_all(struct dests *d)
{
  for (uint32_t i = 0; i < RCPTS; i++) {
    struct rcpt *r = calloc(1, sizeof *r + 32);
    r->msg = messages + next() % MESSAGES;
    r->index = i;
    r->addrlen = (size_t)snprintf(r->text, 32, "u@d%u.example", next() % 40);
    r->addr = r->text;
    struct dest *t = dests_find(d, (enum channel)(next() % CHANNELS), r->addr, r->addrlen, "s@a.example");
    in[i] = (char)dests_add(d, t, (enum lane)(next() % LANES), r);
  }
}

/* Every third one, and all of some messages. */
static int pick(void *data, struct rcpt const *r)
{
  (void)data;
  return r->index % 3 == 0 || r->msg < messages + 10;
}

static size_t take_list(struct rcpt *r, int *ok)
{
  size_t n = 0;
  for (struct rcpt *after; r; r = after, n++) {
    after = r->next;
    *ok &= in[r->index] == 1 && pick(0, r);
    in[r->index] = 0;
    free(r);
  }
  return n;
}

static size_t take_turns(struct dests *d, int *ok)
{
  size_t n = 0;
  for (int c = 0; c < CHANNELS; c++)
    for (struct batch *b; (b = dests_turn(d, (enum channel)c, RCPTS, 0));) {
      struct rcpt *r = batch_take(b);
      *ok &= r && r->msg == b->msg && in[r->index] == 1 && !pick(0, r);
      if (!r) return n;
      in[r->index] = 0;
      free(r);
      n++;
      dests_next(d, b);
    }
  return n;
}

static void put(char const *path, char const *text)
{
  FILE *f = fopen(path, "w");
  if (!f || fputs(text, f) == EOF || fclose(f)) abort();
}

static char const *hop(struct dests *d, char const *addr)
{
  struct dest *t = dests_find(d, CHANNEL_REMOTE, addr, strlen(addr), "s@a.example");
  return t ? dest_nexthop(t, 1) : "";
}

static void obey(struct dests *d, char const *policies)
{
  struct dest_rules r = DEST_RULES_ZERO;
  char const *why;
  put("control/tlsdestinations", policies);
  if (!dest_rules_load(&r, &why)) abort();
  dests_obey(d, &r);
}

/* Domains with one policy of TLS share a relay; one with its own has it for itself. */
static void check_policies(void)
{
  static struct dests d;
  char b[300];
  put("control/smtproutes", ":relay.example\n");
  obey(&d, "b.example:encrypt\nc.example:encrypt\nd.example:verify\n:may\n");
  check(!strcmp(hop(&d, "u@a.example"), "relay.example:25"), "a relay as next hop");
  snprintf(b, sizeof b, "%s", hop(&d, "u@b.example"));
  check(!strncmp(b, "relay.example:25/tls.", 21), "with a policy of its own another one");
  check(!strcmp(hop(&d, "u@c.example"), b), "shared by those that have the same");
  check(strcmp(hop(&d, "u@d.example"), b) && strstr(hop(&d, "u@d.example"), "/tls."), "and by no other");
  obey(&d, "relay.example:encrypt\n");
  check(!strcmp(hop(&d, "u@b.example"), "relay.example:25"), "the relay's own policy is that of all");
}

int main(void)
{
  struct dests d = { .turns = { 0 } };
  if (!getenv("SCRATCH") || chdir(getenv("SCRATCH")) == -1 || setenv("PIPIT_HOME", ".", 1) == -1)
    return 111;
  mkdir("control", 0755);
  check_policies();
  int ok = 1;
  check(!dests_sweep(&d, pick, 0), "of nothing, nothing is taken away");
  for (int round = 0; round < 3; round++) {
    add_all(&d);
    size_t n = take_list(dests_sweep(&d, pick, 0), &ok);
    check(ok && n > RCPTS / 3 && !dests_sweep(&d, pick, 0), "just what is picked is taken away");
    n += take_turns(&d, &ok);
    check(ok && n == RCPTS && !memchr(in, 1, sizeof in), "the others have their turns, each with its message");
    int busy = 0;
    for (struct group *g = d.groups.first; g; g = g->next) busy |= g->busy || g->batches != 0;
    check(!busy, "nobody waits for any next hop");
  }
  return check_done();
}
