/* t-tlspolicy.c - control/tlsdestinations */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "../../remote/tlspolicy.h"

#define PRINT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define COLONS                                                                                     \
  "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF"
#define LONG63 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static struct tlspolicies all = TLSPOLICIES_ZERO;

static void put(char const *text)
{
  FILE *f = fopen("control/" TLSPOLICY_FILE, "w");
  if (!f || fputs(text, f) == EOF || fclose(f)) abort();
}

static struct policy_case {
  char const *words;
  enum tlslevel level;
  int wrapper;
  char const *match, *ca, *prints;
} const cases[] = {
  { "none", TLSPOLICY_NONE, 0, "", "", "" },
  { " may\t", TLSPOLICY_MAY, 0, "", "", "" },
  { "encrypt", TLSPOLICY_ENCRYPT, 0, "", "", "" },
  { "verify", TLSPOLICY_VERIFY, 0, "", "", "" },
  { "wrapper", TLSPOLICY_ENCRYPT, 1, "", "", "" },
  { "may wrapper", TLSPOLICY_ENCRYPT, 1, "", "", "" },
  { "verify wrapper", TLSPOLICY_VERIFY, 1, "", "", "" },
  { "match=A.example,.b.example verify ca=Mine", TLSPOLICY_VERIFY, 0, "a.example,.b.example", "Mine", "" },
  { "verify match=[2001:DB8::1]", TLSPOLICY_VERIFY, 0, "[2001:db8::1]", "", "" },
  { "verify fingerprint=" COLONS, TLSPOLICY_VERIFY, 0, "", "", PRINT },
  { "verify fingerprint=" PRINT "," PRINT "," PRINT "," PRINT, TLSPOLICY_VERIFY, 0, "", "",
    PRINT "," PRINT "," PRINT "," PRINT },
  { "verify ca=" LONG63, TLSPOLICY_VERIFY, 0, "", LONG63, "" },
};

static char const *const bad[] = {
  "",
  "  ",
  "maybe",
  "Verify",
  "match=a",
  "none wrapper",
  "encrypt match=a",
  "may ca=a",
  "may fingerprint=" PRINT,
  "verify match=",
  "verify match=,a",
  "verify match=a,",
  "verify match=a,,b",
  "verify match=a*",
  "verify match=a.",
  "verify ca=",
  "verify ca=.",
  "verify ca=../a",
  "verify ca=x" LONG63,
  "verify fingerprint=",
  "verify fingerprint=0" PRINT,
  "verify fingerprint=" PRINT ",",
  "verify fingerprint=" PRINT ",12",
  "verify fingerprint=g" PRINT,
  "verify fingerprint=" PRINT "," PRINT "," PRINT "," PRINT "," PRINT,
  "verify fingerprint=" PRINT " match=a",
  "verify fingerprint=" PRINT " ca=a",
};

static void check_words(void)
{
  char why[128];
  struct tlspolicy p;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct policy_case const *c = cases + i;
    snprintf(why, sizeof why, "a policy: %.60s", c->words);
    check(!tlspolicy_parse(&p, c->words) && p.level == c->level && p.wrapper == c->wrapper &&
              !strcmp(p.match, c->match) && !strcmp(p.ca, c->ca) && !strcmp(p.prints, c->prints), why);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    snprintf(why, sizeof why, "none: %.60s", bad[i]);
    check(tlspolicy_parse(&p, bad[i]) != 0, why);
  }
}

static void check_find(char const *host, char const *relay, int own, enum tlslevel level,
                       char const *match)
{
  char why[160];
  struct tlspolicy p;
  int r = tlspolicy_find(&all, host, relay, &p);
  snprintf(why, sizeof why, "%s by %s", host, *relay ? relay : "MX");
  check(r == own && p.level == level && !strcmp(p.match, match), why);
}

static void check_file(void)
{
  check(tlspolicy_load(&all), "no file");
  check_find("a.example", "", 0, TLSPOLICY_MAY, "");
  put("# these\na.example:encrypt\n.a.example:none\nv.example: verify\nm.example:verify match=x.example\n"
      "relay.example:verify\n[2001:db8::1]:encrypt\n[192.0.2.1]:verify\n:none\n");
  check(tlspolicy_load(&all), "a good file");
  check_find("A.Example", "", 1, TLSPOLICY_ENCRYPT, "");
  check_find("a.example.", "", 1, TLSPOLICY_ENCRYPT, "");
  check_find("b.a.example", "", 1, TLSPOLICY_NONE, "");
  check_find("other.example", "", 0, TLSPOLICY_NONE, "");
  check_find("V.Example.", "", 1, TLSPOLICY_VERIFY, "v.example,.v.example");
  check_find("v.example", "gate.example:25", 1, TLSPOLICY_VERIFY, "gate.example");
  check_find("m.example", "gate.example:25", 1, TLSPOLICY_VERIFY, "x.example");
  check_find("other.example", "relay.example:2525", 0, TLSPOLICY_VERIFY, "relay.example");
  check_find("other.example", "relay.example:24/lmtp", 0, TLSPOLICY_VERIFY, "relay.example");
  check_find("other.example", "[2001:db8::1]:25", 0, TLSPOLICY_ENCRYPT, "");
  check_find("[192.0.2.1]", "", 1, TLSPOLICY_VERIFY, "[192.0.2.1]");
  check_find("a.example", "relay.example:25", 1, TLSPOLICY_ENCRYPT, "");
  check_find("other.example", "/run/lmtp", 0, TLSPOLICY_NONE, "");
  put(":verify\n");
  check(tlspolicy_load(&all), "another file");
  check_find("a.example", "", 1, TLSPOLICY_VERIFY, "a.example,.a.example");
  check_find("[IPv6:2001:DB8::1]", "", 1, TLSPOLICY_VERIFY, "[2001:db8::1]");
  check_find("a.example", "relay.example:25", 0, TLSPOLICY_VERIFY, "relay.example");
  put("a.example:maybe\n");
  check(!tlspolicy_load(&all) && strstr(control_why(), "control/" TLSPOLICY_FILE) && strstr(control_why(), "a.example:maybe"),
        "a bad line is told");
  check_find("a.example", "", 1, TLSPOLICY_VERIFY, "a.example,.a.example");
  tlspolicy_free(&all);
}

static void check_marks(void)
{
  char a[64] = "mx.example", b[64] = "mx.example", small[31] = "mx.example";
  struct tlspolicy p, q;
  tlspolicy_parse(&p, "verify match=a");
  tlspolicy_parse(&q, "verify match=b");
  check(tlspolicy_mark(&p, a, sizeof a) && tlspolicy_mark(&q, b, sizeof b) &&
            strlen(a) == 10 + TLSPOLICY_MARK_MAX && strcmp(a, b) && !strncmp(a, "mx.example/tls.", 15),
        "marks of two policies differ");
  check(!tlspolicy_same(&p, &q) && tlspolicy_same(&p, &p), "so do they");
  check(!tlspolicy_mark(&p, small, sizeof small) && !strcmp(small, "mx.example"), "no room for a mark");
}

int main(void)
{
  if (!getenv("SCRATCH") || chdir(getenv("SCRATCH")) == -1 || setenv("PIPIT_HOME", ".", 1) == -1)
    return 111;
  mkdir("control", 0755);
  check_words();
  check_file();
  check_marks();
  return check_done();
}
