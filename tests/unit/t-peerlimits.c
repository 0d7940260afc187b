/* t-peerlimits.c - LIMITS of a server */

#include <string.h>

#include "../../remote/peerlimits.h"
#include "check.h"

static struct {
  char const *in;
  unsigned int mailmax, rcptmax, rcptdomainmax;
} const cases[] = {
  { "", 0, 0, 0 },
  { " MAILMAX=1 RCPTMAX=999999 RCPTDOMAINMAX=3", 1, 999999, 3 },
  { " rcptmax=20", 0, 20, 0 },
  { "  MAILMAX=5   RCPTMAX=6 ", 5, 6, 0 },
  { " FOO BAR=1 MAILMAX=7", 7, 0, 0 },
  { " MAILMAX=0 RCPTMAX=", 0, 0, 0 },
  { " MAILMAX=1000000", 0, 0, 0 },
  { " MAILMAX=-1 RCPTMAX=1x RCPTDOMAINMAX=+1", 0, 0, 0 },
  { " MAILMAX", 0, 0, 0 },
  { " XMAILMAX=1 MAILMAXX=1", 0, 0, 0 },
  { " MAILMAX=0012", 12, 0, 0 },
};

int main(void)
{
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct peerlimits l = { 0, 0, 0 };
    peerlimits_read(&l, cases[i].in, strlen(cases[i].in));
    check(l.mailmax == cases[i].mailmax && l.rcptmax == cases[i].rcptmax &&
              l.rcptdomainmax == cases[i].rcptdomainmax, *cases[i].in ? cases[i].in : "nothing");
  }
  return check_done();
}
