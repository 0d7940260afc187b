/* t-delivery.c - the lines made of addresses, however odd */

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cleanenv.h"
#include "../../local/delivery.h"

static struct line_case {
  char const *why, *sender, *rpline, *ufline;
} const cases[] = {
    {"a plain sender", "a.b+c@d.example", "Return-Path: <a.b+c@d.example>\n",
     "From a.b+c@d.example Thu Jan 01 00:00:00 1970\n"},
    {"the null sender", "", "Return-Path: <>\n", "From MAILER-DAEMON Thu Jan 01 00:00:00 1970\n"},
    {"a blank", "a b@d", "Return-Path: <\"a b\"@d>\n", "From a-b@d Thu Jan 01 00:00:00 1970\n"},
    {"quotes and backslashes", "a\"\\@d", "Return-Path: <\"a\\\"\\\\\"@d>\n",
     "From a\"\\@d Thu Jan 01 00:00:00 1970\n"},
    {"a newline", "a\nb@d", "Return-Path: <a_b@d>\n", "From a-b@d Thu Jan 01 00:00:00 1970\n"},
    {"a newline in the domain", "a@d\ne", "Return-Path: <a@d_e>\n",
     "From a@d-e Thu Jan 01 00:00:00 1970\n"},
    {"dots at the edges", ".a@d", "Return-Path: <\".a\"@d>\n",
     "From .a@d Thu Jan 01 00:00:00 1970\n"},
    {"two dots", "a..b@d", "Return-Path: <\"a..b\"@d>\n", "From a..b@d Thu Jan 01 00:00:00 1970\n"},
    {"an at sign in quotes", "a@b@d", "Return-Path: <\"a@b\"@d>\n",
     "From a@b@d Thu Jan 01 00:00:00 1970\n"},
    {"no local part", "@d", "Return-Path: <\"\"@d>\n", "From @d Thu Jan 01 00:00:00 1970\n"},
    {"no domain", "joe", "Return-Path: <joe>\n", "From joe Thu Jan 01 00:00:00 1970\n"},
    {"double bounce", "#@[]", "Return-Path: <#@[]>\n", "From #@[] Thu Jan 01 00:00:00 1970\n"},
    {"other control characters", "a\x1b\x7f@d", "Return-Path: <a__@d>\n",
     "From a__@d Thu Jan 01 00:00:00 1970\n"},
};

static int is(stralloc const *sa, char const *s)
{
  return sa->len == strlen(s) && !memcmp(sa->s, s, sa->len);
}

int main(void)
{
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct line_case const *c = cases + i;
    char const *const args[DELIVERY_ARGS] = {"joe", "/h",          "joe\n",   "",
                                             "",    "h\r.example", c->sender, "./M/"};
    struct delivery d;
    check(delivery_init(&d, args) && delivery_date(&d, 0) && is(&d.rpline, c->rpline) && is(&d.ufline, c->ufline) &&
              is(&d.dtline, "Delivered-To: joe_@h_.example\n"),
          c->why);
  }
  check(cleanenv_set("T", "() { x; }") && !strcmp(getenv("T"), "_) { x; }"),
        "a function is no value");
  check(cleanenv_set("T", "(a)") && !strcmp(getenv("T"), "(a)"), "a parenthesis is");
  return check_done();
}
