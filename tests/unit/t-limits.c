/* t-limits.c - control/concurrencydomains */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "../../send/limits.h"

static struct limit_rules rules = LIMIT_RULES_ZERO;

static void put(char const *text)
{
  FILE *f = fopen("control/" LIMITS_FILE, "w");
  if (!f || fputs(text, f) == EOF || fclose(f)) abort();
}

static struct limits find(char const *name, int own)
{
  struct limits l = { 0 };
  if (limits_find(&rules, name, strlen(name), &l) != own) l.connections = 4444;
  return l;
}

int main(void)
{
  static char const *const bad[] = { "a.example",
                                     "a.example:",
                                     "a.example: connections=",
                                     "a.example: connections=0",
                                     "a.example: connections=4001",
                                     "a.example: connections=99999999999999999999",
                                     "a.example: connections=5x",
                                     "a.example: connections=5 speed=7",
                                     "a.example: rate=5/",
                                     "a.example: rate=/5",
                                     "a.example: rate=0",
                                     "a example: rate=5",
                                     "[::1: rate=5",
                                     "a.example: connections=5,rate=3",
                                     0 };
  struct limits l;
  if (!getenv("SCRATCH") || chdir(getenv("SCRATCH")) == -1 || setenv("PIPIT_HOME", ".", 1) == -1)
    return 111;
  mkdir("control", 0755);
  check(limits_load(&rules) && !rules.named && !find("a.example", 0).connections, "no file, no limits");
  put("# big ones\n:connections=20 connidle=5\nA.example: connections=3 rate=10/60\n\n"
      ".b.example:connmessages=7\t rate=5  \n[2001:db8::1]:rate=1\n[192.0.2.1]: connections=9\n");
  check(limits_load(&rules) && rules.named, "a good file");
  l = find("other.example", 0);
  check(l.connections == 20 && l.connidle == 5 && !l.rate, "the default line");
  l = find("a.EXAMPLE", 1);
  check(l.connections == 3 && l.rate == 10 && l.seconds == 60 && l.connidle == 5,
        "a name's line, on top of the default");
  l = find("mx.b.example", 1);
  check(l.connections == 20 && l.connmessages == 7 && l.rate == 5 && l.seconds == 1, ".suffix");
  check(!find("b.example", 0).rate, "which the domain itself does not match");
  check(find("[2001:db8::1]", 1).rate == 1 && find("[192.0.2.1]", 1).connections == 9, "addresses of relays");
  for (size_t i = 0; bad[i]; i++) {
    char what[100];
    put(bad[i]);
    snprintf(what, sizeof what, "refused: %s", bad[i]);
    check(!limits_load(&rules) && strstr(control_why(), bad[i]) &&
              strstr(control_why(), "control/" LIMITS_FILE) && !strchr(control_why(), '\n'), what);
  }
  check(find("a.example", 1).connections == 3, "after which the old ones hold");
  return check_done();
}
