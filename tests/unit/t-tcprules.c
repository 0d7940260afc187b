/* t-tcprules.c - tcpserver's rules, looked up in tcpserver's order */

#include <cdb.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/stralloc.h>

#include "cdbmap.h"
#include "check.h"
#include "tcprules.h"

/* Every key has its own value, so that the one that was found can be told. */
static char const *const keys[] = {
  "info@192.0.2.1", "info@=mx.example.org", "192.0.2.1", "=mx.example.org", "192.0.2.",
  "192.0.", "=.example.org", "=", "", "198.51.100.0/25", "198.51.100.", "10.0.0.0/8",
  "2001:db8::1", "2001:db8:1:", "2001:db8:2::/48", "2001:",
};

static int write_rules(char const *path, unsigned int leave_out)
{
  struct cdb_make cdb;
  char value[64];
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd == -1 || cdb_make_start(&cdb, fd) == -1) return 0;
  for (unsigned int i = 0; i < sizeof keys / sizeof *keys; i++) {
    if (leave_out >> i & 1) continue;
    int n = snprintf(value, sizeof value, "+K=%s", keys[i]);
    if (cdb_make_add(&cdb, keys[i], (unsigned int)strlen(keys[i]), value, (unsigned int)n + 1) == -1)
      return 0;
  }
  return cdb_make_finish(&cdb) == 0 && close(fd) == 0;
}

/* The key of the rule that matches; NULL when none does. */
static char const *matched(struct cdbmap *map, char const *ip, char const *host, char const *info)
{
  static stralloc rule = STRALLOC_ZERO;
  size_t pos = 0;
  char const *var;
  if (tcprules_find(map, ip, host, info, 1, &rule) != 1) return 0;
  return tcprules_next(&rule, &pos, &var) == 1 ? var + 2 : 0;
}

static struct order_case {
  char const *why;
  unsigned int leave_out; /* bits: keys that are not in the file */
  char const *ip, *host, *info, *key;
} const cases[] = {
  { "info@ip comes first", 0, "192.0.2.1", "mx.example.org", "info", "info@192.0.2.1" },
  { "then info@=host", 1, "192.0.2.1", "mx.example.org", "info", "info@=mx.example.org" },
  { "then the address", 3, "192.0.2.1", "mx.example.org", "info", "192.0.2.1" },
  { "then =host", 7, "192.0.2.1", "mx.example.org", "info", "=mx.example.org" },
  { "then the longest prefix", 15, "192.0.2.1", "mx.example.org", 0, "192.0.2." },
  { "then a shorter one", 31, "192.0.2.1", "mx.example.org", 0, "192.0." },
  { "then a suffix of the host", 63, "192.0.2.1", "mx.example.org", 0, "=.example.org" },
  { "then = for any host", 127, "192.0.2.1", "mx.example.org", 0, "=" },
  { "= does not match without a host", 127, "192.0.2.1", 0, 0, "" },
  { "then the empty key", 255, "192.0.2.1", "mx.example.org", 0, "" },
  { "no rule at all", 511, "192.0.2.1", "mx.example.org", 0, 0 },
  { "a prefix ends at a dot", 0, "192.0.20.1", 0, 0, "192.0." },
  { "a network", 0, "198.51.100.127", 0, 0, "198.51.100.0/25" },
  { "not in the network: a prefix", 0, "198.51.100.128", 0, 0, "198.51.100." },
  { "a large network", 0, "10.255.255.255", 0, 0, "10.0.0.0/8" },
  { "an IPv6 address", 0, "2001:db8::1", 0, 0, "2001:db8::1" },
  { "an IPv6 prefix", 0, "2001:db8:1::9", 0, 0, "2001:db8:1:" },
  { "an IPv6 network", 0, "2001:db8:2:ffff::9", 0, 0, "2001:db8:2::/48" },
  { "a shorter IPv6 prefix", 0, "2001:db8:3::9", 0, 0, "2001:" },
  { "what is no address", 0, "unknown", 0, 0, "" },
};

static void orders(char const *path)
{
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct order_case const *c = cases + i;
    struct cdbmap *map = 0;
    if (!write_rules(path, c->leave_out) || cdbmap_open(&map, AT_FDCWD, path) != 1) {
      check(0, "a rules file can be made and opened");
      return;
    }
    char const *key = matched(map, c->ip, c->host, c->info);
    check(c->key ? key && !strcmp(key, c->key) : !key, c->why);
    cdbmap_close(map);
  }
}

static void instructions(void)
{
  stralloc rule = STRALLOC_ZERO;
  size_t pos = 0;
  char const *var = 0;
  if (!stralloc_copyb(&rule, "+A=1\0D\0+B=\0", 11)) return;
  check(tcprules_next(&rule, &pos, &var) == 1 && !strcmp(var, "A=1"), "a variable");
  check(tcprules_next(&rule, &pos, &var) == 2, "deny");
  check(tcprules_next(&rule, &pos, &var) == 1 && !strcmp(var, "B="), "an empty variable");
  check(tcprules_next(&rule, &pos, &var) == 0, "the end");
  rule.len = 4;
  pos = 0;
  check(tcprules_next(&rule, &pos, &var) == -1, "an instruction that is cut off is an error");
  pos = 0;
  if (!stralloc_copyb(&rule, "x\0", 2)) return;
  check(tcprules_next(&rule, &pos, &var) == -1, "so is one that is not known");
  stralloc_free(&rule);
}

int main(void)
{
  char path[512];
  char const *dir = getenv("SCRATCH");
  snprintf(path, sizeof path, "%s/rules.cdb", dir ? dir : "/tmp");
  orders(path);
  unlink(path);
  instructions();
  return check_done();
}
