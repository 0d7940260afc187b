/* t-smtppath.c - paths and parameters of MAIL and RCPT */

#include <string.h>

#include "check.h"
#include "smtppath.h"

static struct path_case {
  char const *why, *arg;
  enum smtppath_result result;
  char const *address;
} const path_cases[] = {
  { "a plain path", "FROM:<a@b.example>", SMTPPATH_OK, "a@b.example" },
  { "the keyword's case does not matter", "from:<a@b>", SMTPPATH_OK, "a@b" },
  { "another keyword", "TO:<a@b>", SMTPPATH_SYNTAX, "" },
  { "the null path", "FROM:<>", SMTPPATH_OK, "" },
  { "spaces before the path", "FROM:   <a@b>", SMTPPATH_OK, "a@b" },
  { "no brackets", "FROM:a@b SIZE=1", SMTPPATH_OK, "a@b" },
  { "nothing at all", "FROM:", SMTPPATH_SYNTAX, "" },
  { "only spaces", "FROM:  ", SMTPPATH_SYNTAX, "" },
  { "an address without domain", "FROM:<postmaster>", SMTPPATH_OK, "postmaster" },
  { "a source route is dropped", "FROM:<@x.example,@y:a@b>", SMTPPATH_OK, "a@b" },
  { "a source route without an address", "FROM:<@x.example:>", SMTPPATH_OK, "" },
  { "a route without its colon", "FROM:<@x.example> BODY:", SMTPPATH_SYNTAX, "" },
  { "a quoted local part", "FROM:<\"a b\"@c>", SMTPPATH_OK, "a b@c" },
  { "a quoted at sign and bracket", "FROM:<\"a@>b\"@c>", SMTPPATH_OK, "a@>b@c" },
  { "a quoted pair", "FROM:<a\\ b\\\"@c>", SMTPPATH_OK, "a b\"@c" },
  { "a quoted pair in quotes", "FROM:<\"a\\\"b\"@c>", SMTPPATH_OK, "a\"b@c" },
  { "a backslash at the end", "FROM:<a\\", SMTPPATH_SYNTAX, "" },
  { "quotes that do not end", "FROM:<\"a@b>", SMTPPATH_SYNTAX, "" },
  { "no closing bracket", "FROM:<a@b", SMTPPATH_SYNTAX, "" },
  { "a second opening bracket", "FROM:<a<b@c>", SMTPPATH_SYNTAX, "" },
  { "an unquoted space", "FROM:<a b@c>", SMTPPATH_SYNTAX, "" },
  { "an empty domain", "FROM:<a@>", SMTPPATH_SYNTAX, "" },
  { "an empty local part", "FROM:<\"\"@b>", SMTPPATH_SYNTAX, "" },
  { "a quoted space in the domain", "FROM:<a@\"b c\">", SMTPPATH_SYNTAX, "" },
  { "a control character", "FROM:<a\001b@c>", SMTPPATH_UNSAFE, "" },
  { "a quoted newline", "FROM:<a\\\nb@c>", SMTPPATH_UNSAFE, "" },
  { "a DEL in quotes", "FROM:<\"\177\"@c>", SMTPPATH_UNSAFE, "" },
  { "an address literal", "FROM:<a@[IPv6:2001:db8::1]>", SMTPPATH_OK, "a@[IPv6:2001:db8::1]" },
  { "two dots in a local part, as some have", "FROM:<a..b.@c>", SMTPPATH_OK, "a..b.@c" },
};

static int holds(struct smtppath const *p, char const *s)
{
  return p->len == strlen(s) && !memcmp(p->s, s, p->len);
}

static void paths(void)
{
  struct smtppath p;
  for (size_t i = 0; i < sizeof path_cases / sizeof *path_cases; i++) {
    struct path_case const *c = path_cases + i;
    enum smtppath_result r = smtppath_parse(&p, "FROM:", c->arg, strlen(c->arg));
    check(r == c->result && (r != SMTPPATH_OK || holds(&p, c->address)), c->why);
  }
}

static void sizes(void)
{
  static char arg[4096];
  struct smtppath p;
  memcpy(arg, "TO:<", 4);
  memset(arg + 4, 'a', ADDRESS_MAX - 2);
  memcpy(arg + 4 + ADDRESS_MAX - 2, "@b>", 3);
  check(smtppath_parse(&p, "TO:", arg, 4 + ADDRESS_MAX + 1) == SMTPPATH_OK && p.len == ADDRESS_MAX,
        "an address of ADDRESS_MAX bytes is taken");
  memcpy(arg + 4 + ADDRESS_MAX - 2, "a@b>", 4);
  check(smtppath_parse(&p, "TO:", arg, 4 + ADDRESS_MAX + 2) == SMTPPATH_LONG, "a longer one is not");
  check(smtppath_parse(&p, "TO:", "TO:<a\0b@c>", 10) == SMTPPATH_UNSAFE, "a NUL is refused");
  for (size_t n = 0; n < 12; n++)
    if (smtppath_parse(&p, "TO:", "TO:<\"a\\b\"@c>", n) == SMTPPATH_OK) {
      check(0, "a path cut anywhere is refused");
      return;
    }
  check(1, "a path cut anywhere is refused");
}

/* The parameters of <arg> as "name=value," each, then the last result. */
static int params_are(char const *arg, char const *expected, int last)
{
  char got[256];
  size_t n = 0, pos = 0;
  struct smtpparam p;
  int r;
  while ((r = smtpparam_next(&p, arg, strlen(arg), &pos)) == 1)
    n += (size_t)snprintf(got + n, sizeof got - n, "%.*s=%.*s,", (int)p.namelen, p.name,
                          (int)p.valuelen, p.value);
  got[n] = 0;
  return r == last && !strcmp(got, expected);
}

static void params(void)
{
  struct smtpparam p;
  size_t pos = 0;
  check(params_are("", "", 0), "no parameters");
  check(params_are("  ", "", 0), "only spaces");
  check(params_are(" SIZE=1000 BODY=8BITMIME", "SIZE=1000,BODY=8BITMIME,", 0), "two parameters");
  check(params_are(" SMTPUTF8", "SMTPUTF8=,", 0), "a parameter without value");
  check(params_are(" A==b", "A==b,", 0), "an equals sign in a value");
  check(params_are("SIZE=1", "", -1), "no space before");
  check(params_are(" SIZE=", "", -1), "an empty value");
  check(params_are(" =1", "", -1), "an empty name");
  check(params_are(" -A=1", "", -1), "a name that begins with a hyphen");
  check(params_are(" A=1\tB=2", "", -1), "a tab is no space");
  check(params_are(" A=\303\244", "", -1), "a value of other than ASCII");
  check(smtpparam_next(&p, " body=8bitmime", 14, &pos) == 1 && smtpparam_is(&p, "BODY") &&
            smtpparam_value_is(&p, "8BITMIME") && !smtpparam_value_is(&p, "8BITMIM"),
        "names and values compare without regard to case, as a whole");
}

int main(void)
{
  paths();
  sizes();
  params();
  return check_done();
}
