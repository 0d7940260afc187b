/* t-dsn.c - parameters of delivery status notifications: read to the letter, written again */

#include <string.h>

#include "check.h"
#include "dsn.h"

static struct {
  char const *text;
  unsigned int notify;
  char const *again;
} const notifies[] = {
  { "NEVER", DSN_NEVER, "NEVER" },
  { "never", DSN_NEVER, "NEVER" },
  { "Delay,FAILURE,success", DSN_SUCCESS | DSN_FAILURE | DSN_DELAY, "SUCCESS,FAILURE,DELAY" },
  { "DELAY,DELAY", DSN_DELAY, "DELAY" },
  { "NEVER,DELAY", 0, "" },
  { "DELAY,NEVER", 0, "" },
  { "", 0, "" },
  { ",", 0, "" },
  { "DELAY,", 0, "" },
  { ",DELAY", 0, "" },
  { " DELAY", 0, "" },
  { "DELAYS", 0, "" },
  { "DELA", 0, "" },
};

static void check_notify(void)
{
  char out[DSN_NOTIFY_MAX];
  for (size_t i = 0; i < sizeof notifies / sizeof *notifies; i++) {
    unsigned int got = dsn_notify(notifies[i].text, strlen(notifies[i].text));
    dsn_notify_put(out, got);
    check(got == notifies[i].notify && !strcmp(out, notifies[i].again), notifies[i].text);
  }
  dsn_notify_put(out, DSN_NEVER | DSN_SUCCESS | DSN_FAILURE | DSN_DELAY);
  check(!strcmp(out, "NEVER"), "NEVER stands alone");
  check(dsn_ret("full", 4) == DSN_RET_FULL && dsn_ret("HDRS", 4) == DSN_RET_HDRS &&
            !dsn_ret("FULLY", 5) && !dsn_ret("", 0), "RET");
}

static struct {
  char const *why, *xtext, *text; /* text NULL: it is none */
} const xtexts[] = {
  { "plain", "QQ314159", "QQ314159" },
  { "all that stands for itself", "!\"#$%&'()*,-./:;<>?@[\\]^_`{|}~", "!\"#$%&'()*,-./:;<>?@[\\]^_`{|}~" },
  { "encoded", "a+20b+2Bc+3D", "a b+c=" },
  { "encoded without need", "+41", "A" },
  { "nothing", "", "" },
  { "small digits", "+2b", 0 },
  { "no digits", "+", 0 },
  { "one digit", "a+2", 0 },
  { "no hex digit", "+2G", 0 },
  { "an equals sign", "a=b", 0 },
  { "a space", "a b", 0 },
  { "a control character", "a\nb", 0 },
  { "an encoded newline", "a+0Ab", 0 },
  { "an encoded carriage return", "a+0Db", 0 },
  { "an encoded NUL", "a+00b", 0 },
  { "an encoded DEL", "+7F", 0 },
  { "8 bits", "\303\244", 0 },
  { "8 bits, encoded", "+C3+A4", 0 },
};

static void check_xtext(void)
{
  for (size_t i = 0; i < sizeof xtexts / sizeof *xtexts; i++) {
    stralloc out = STRALLOC_ZERO;
    char const *expected = xtexts[i].text;
    size_t len = strlen(xtexts[i].xtext);
    int r = dsn_xtext_decode(&out, xtexts[i].xtext, len);
    check(r == (expected != 0) && r == dsn_xtext_decode(0, xtexts[i].xtext, len) &&
              (!r || (out.len == strlen(expected) && (!out.len || !memcmp(out.s, expected, out.len)))),
          xtexts[i].why);
    stralloc_free(&out);
  }
}

/* Whatever can be written is read back as it was; the rest cannot be written. */
static void check_round(void)
{
  int ok = 1;
  for (int c = 0; c < 256; c++) {
    stralloc x = STRALLOC_ZERO, back = STRALLOC_ZERO;
    char const s[3] = { 'a', (char)c, 'b' };
    int r = dsn_xtext_encode(&x, s, sizeof s);
    if (r != (c >= 32 && c < 127)) ok = 0;
    if (r == 1 && (dsn_xtext_decode(&back, x.s, x.len) != 1 || back.len != 3 || memcmp(back.s, s, 3))) ok = 0;
    stralloc_free(&x);
    stralloc_free(&back);
  }
  check(ok, "every byte is written and read back, or refused");
}

static void check_values(void)
{
  char s[600];
  memset(s, 'x', sizeof s);
  check(dsn_envid_ok(s, 100) && !dsn_envid_ok(s, 101) && !dsn_envid_ok(s, 0), "the length of ENVID");
  memcpy(s, "rfc822;", 7);
  check(dsn_orcpt_type(s, 500) == 6 && !dsn_orcpt_type(s, 501) && dsn_orcpt_type(s, 8) == 6 &&
            !dsn_orcpt_type(s, 7) && !dsn_orcpt_type(s, 6), "the length of ORCPT");
  check(!dsn_orcpt_type("rf c;a", 6) && !dsn_orcpt_type(";a", 2) && !dsn_orcpt_type("r;a+", 4) &&
            dsn_orcpt_type("x-a+b;c;d", 9) == 5, "the form of ORCPT");
}

static void check_find(void)
{
  static char const extras[] = "BODY=8BITMIME\0ENVID=a\0notify=NEVER\0ENVID=b";
  size_t n;
  char const *v = dsn_find(extras, sizeof extras, "ENVID", &n);
  check(v && n == 1 && *v == 'a', "the first one counts");
  check(dsn_find_notify(extras, sizeof extras) == DSN_NEVER, "whatever the case of its name");
  check(!dsn_find(extras, sizeof extras, "ENV", &n) && !dsn_find(extras, sizeof extras, "RET", &n) &&
            !dsn_find("", 0, "RET", &n), "and no other");
  check(dsn_find("RET=", 4, "RET", &n) && !n, "an empty value, without a NUL behind it");
}

int main(void)
{
  check_notify();
  check_xtext();
  check_round();
  check_values();
  check_find();
  return check_done();
}
