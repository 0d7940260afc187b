/* t-limits-login.c - control/loginlimits: messages and recipients within an hour */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "../../auth/limits.h"

#define MINUTE 60000ull
#define HOUR   (60 * MINUTE)

static void write_control(char const *text)
{
  FILE *f = fopen("control/loginlimits", "w");
  if (!f || fputs(text, f) == EOF || fclose(f)) exit(111);
}

static unsigned int ask(char const *login, uint32_t recipients, uint64_t now)
{
  return limits_ask(login, strlen(login), recipients, now);
}

int main(void)
{
  uint64_t t = 1000 * HOUR;
  char text[16];
  char const *scratch = getenv("SCRATCH");
  if (!scratch || chdir(scratch) == -1 || setenv("PIPIT_HOME", ".", 1) || mkdir("control", 0755) == -1) return 111;
  check(limits_load() && !ask("ann", 1000000, t), "without the file there are none");
  write_control("# limits\nann:3:\nbob::10\nnone:0:\n*:100:1000\n");
  check(limits_load(), "the file is read");
  check(!ask("ann", 1, t) && !ask("ANN", 1000, t) && !ask("ann", 1, t), "three messages");
  unsigned int s = ask("ann", 1, t);
  check(s > 50 * 60 && s <= 65 * 60, "the fourth has to wait");
  check(ask("ann", 1, t + (s - 2) * 1000ull - 5 * MINUTE) > 0 && !ask("ann", 1, t + s * 1000ull), "as long as was said");
  check(!ask("bob", 10, t) && ask("bob", 1, t) > 0 && !ask("bob", 10, t + 2 * HOUR), "recipients");
  check(ask("bob", 11, t + 4 * HOUR) == LIMITS_NEVER && !ask("bob", 10, t + 4 * HOUR), "more than ever");
  check(ask("none", 1, t) == LIMITS_NEVER, "no message at all");
  check(!ask("carl", 1000, t) && ask("carl", 1, t) > 0, "everybody else");
  for (int i = 0; i < 100; i++) ask("dora", 1, t + (uint64_t)i * 30000);
  check(ask("dora", 1, t + 50 * MINUTE) > 0 && !ask("dora", 1, t + 66 * MINUTE), "what is old falls out bit by bit");
  for (int i = 0; i < 20000; i++) {
    snprintf(text, sizeof text, "u%d", i);
    ask(text, 1, t + 3 * HOUR);
  }
  check(!ask("new", 1000, t + 3 * HOUR) && ask("new", 1, t + 3 * HOUR), "more logins than there are places");
  char const *const bad[] = { "ann\n", ":1:1\n", "ann:x:1\n", "ann:1:1:1\n", "ann:99999999999:1\n", "ann:-1\n" };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    write_control(bad[i]);
    check(!limits_load() && strstr(control_why(), "control/loginlimits"), bad[i]);
  }
  check(ask("zed", 1001, t) > 0, "the old limits stay");
  return check_done();
}
