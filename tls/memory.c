/* memory.c - TLS servers that have failed lately; see memory.h */

#include "clock.h"
#include "memory.h"

#define FAILED_MAX  1024  /* servers that are remembered */
#define PLACES      8     /* that one may have among them */
#define RUNNING_MAX 20000 /* sessions whose servers are known */

static struct {
  uint64_t key; /* 0: free */
  uint64_t until;
} failed[FAILED_MAX];

static struct running {
  pid_t pid;
  uint64_t key;
} running[RUNNING_MAX];
static size_t nrunning;

/* FNV-1a. */
uint64_t memory_key(char const *s, size_t len)
{
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
  return h ? h : 1;
}

static size_t place(uint64_t key, size_t i)
{
  return (size_t)((key + i) % FAILED_MAX);
}

/* Where <key> stands, or -1. */
static long find(uint64_t key)
{
  for (size_t i = 0; i < PLACES; i++)
    if (failed[place(key, i)].key == key) return (long)place(key, i);
  return -1;
}

int memory_has_failed(uint64_t key)
{
  long at = find(key);
  return at != -1 && clock_ms() < failed[at].until;
}

static void remember(uint64_t key)
{
  long at = find(key);
  if (at == -1) {
    at = (long)place(key, 0);
    for (size_t i = 1; i < PLACES; i++) /* free ones are the oldest of all */
      if (failed[place(key, i)].until < failed[at].until) at = (long)place(key, i);
  }
  failed[at].key = key;
  failed[at].until = clock_ms() + MEMORY_MS;
}

static void forget(uint64_t key)
{
  long at = find(key);
  if (at != -1) failed[at].key = failed[at].until = 0;
}

void memory_begun(uint64_t key, pid_t pid)
{
  if (nrunning == RUNNING_MAX) return;
  running[nrunning++] = (struct running){ .pid = pid, .key = key };
}

void memory_ended(pid_t pid, int code)
{
  size_t i = 0;
  while (i < nrunning && running[i].pid != pid) i++;
  if (i == nrunning) return;
  if (code == MEMORY_FAILED) remember(running[i].key);
  else if (code == MEMORY_WORKS) forget(running[i].key);
  running[i] = running[--nrunning];
}
