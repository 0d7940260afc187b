/* t-senders.c - which addresses a login may send as */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "senders.h"

static void write_control(char const *name, char const *text)
{
  char path[64];
  snprintf(path, sizeof path, "control/%s", name);
  FILE *f = fopen(path, "w");
  if (!f || fputs(text, f) == EOF || fclose(f)) exit(111);
}

static char const lines[] =
    "# who may be whom\n"
    "Ann@Example.org:self, sales@example.org @lists.example.org\n"
    "ann@example.org:*-bounces@news.example.org\n"
    "bob:any\n"
    "carl:@.example.net\n"
    "none:\n";

static struct {
  char const *why, *login, *addr;
  int may;
} const cases[] = {
  { "no line: an address is itself", "dora@example.org", "dora@example.org", 1 },
  { "no line: in any case", "dora@example.org", "Dora@EXAMPLE.org", 1 },
  { "no line: with a tag", "dora@example.org", "dora+shop@example.org", 1 },
  { "no line: not another one's", "dora@example.org", "ann@example.org", 0 },
  { "no line: not a longer name", "dora@example.org", "dorax@example.org", 0 },
  { "no line: not in another domain", "dora@example.org", "dora@example.org.evil.example", 0 },
  { "no line: not a domain of its own", "dora@example.org", "dora@evil@example.org", 0 },
  { "no line: the user at control/me", "dora", "dora@mail.example", 1 },
  { "no line: the user at a line of locals", "dora", "dora@here.example", 1 },
  { "no line: not elsewhere", "dora", "dora@there.example", 0 },
  { "no line: not without a domain", "dora", "dora", 0 },
  { "notices", "dora", "", 1 },
  { "a line: self", "ann@example.org", "ann+x@example.org", 1 },
  { "a line: an alias", "ANN@example.org", "Sales@example.org", 1 },
  { "a line: a domain", "ann@example.org", "x@LISTS.example.org", 1 },
  { "a line: a domain is not its subdomains", "ann@example.org", "x@a.lists.example.org", 0 },
  { "a second line", "ann@example.org", "a-bounces@news.example.org", 1 },
  { "a wildcard fits as a whole", "ann@example.org", "a-bounces@news.example.org.evil.example", 0 },
  { "a line: nobody else", "ann@example.org", "dora@example.org", 0 },
  { "any", "bob", "president@whitehouse.example", 1 },
  { "subdomains", "carl", "x@a.b.example.net", 1 },
  { "subdomains are not the domain", "carl", "x@example.net", 0 },
  { "subdomains begin with a dot", "carl", "x@evilexample.net", 0 },
  { "a line takes the place of self", "carl", "carl@mail.example", 0 },
  { "an empty line", "none", "none@mail.example", 0 },
  { "a login that is odd", "@example.org", "@example.org", 0 },
};

int main(void)
{
  struct senders s = SENDERS_ZERO;
  char const *scratch = getenv("SCRATCH");
  if (!scratch || chdir(scratch) == -1 || setenv("PIPIT_HOME", ".", 1) || mkdir("control", 0755) == -1) return 111;
  write_control("me", "mail.example\n");
  write_control("locals", "localhost\nhere.example\n");
  check(senders_load(&s) && senders_may(&s, "dora", "dora@mail.example", 17), "without the file");
  write_control("senders", lines);
  check(senders_load(&s), "the file is read");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    check(senders_may(&s, cases[i].login, cases[i].addr, strlen(cases[i].addr)) == cases[i].may,
          cases[i].why);
  write_control("senders", "*:@example.com\nbob:any\n");
  check(senders_load(&s) && senders_may(&s, "dora", "x@example.com", 13) &&
            !senders_may(&s, "dora", "dora@mail.example", 17) && senders_may(&s, "bob", "a@b", 3),
        "a line for everybody else");
  write_control("senders", "ann\n");
  check(!senders_load(&s) && strstr(control_why(), "control/senders") &&
            strstr(control_why(), "write login"), "a line without a colon is told about");
  write_control("senders", "ann:sales\n");
  check(!senders_load(&s) && senders_may(&s, "bob", "a@b", 3), "nor a pattern without @; the old ones stay");
  senders_free(&s);
  return check_done();
}
