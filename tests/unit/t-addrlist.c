/* t-addrlist.c - address lists as people write them */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <skalibs/stralloc.h>

#include "addrlist.h"
#include "check.h"

static struct {
  char const *why, *list, *expected; /* addresses with ' ' behind each; NULL: not to be understood */
} const cases[] = {
  { "an empty list", "", "" },
  { "only blanks and line ends", " \t\r\n \n", "" },
  { "only commas", " , ,, ", "" },
  { "a bare address", "joe@example.org", "joe@example.org " },
  { "a local name", "joe", "joe " },
  { "two addresses", "a@x.org, b@y.org", "a@x.org b@y.org " },
  { "empty elements", ",a@x.org,,b@y.org,", "a@x.org b@y.org " },
  { "a display name", "Joe Doe <joe@x.org>", "joe@x.org " },
  { "a quoted display name with a comma", "\"Doe, Joe\" <joe@x.org>", "joe@x.org " },
  { "a quoted display name with escapes", "\"D \\\"J\\\" <a@b>\" <joe@x.org>", "joe@x.org " },
  { "dots in a display name", "Dr. J. Doe <joe@x.org>", "joe@x.org " },
  { "an address as display name", "joe@work.org <joe@x.org>", "joe@x.org " },
  { "brackets in a display name", "[Bugs] (all) tracker <bug@x.org>", "bug@x.org " },
  { "an encoded word", "=?utf-8?q?J=C3=B6?= <j@x.org>", "j@x.org " },
  { "8-bit display name", "J\303\266 <j@x.org>", "j@x.org " },
  { "8-bit local part", "j\303\266@x.org", "j\303\266@x.org " },
  { "comments everywhere", "(a)joe(b)@(c)x(d).(e)org(f)", "joe@x.org " },
  { "nested comments", "joe (a (b (c) d) e) <joe@x.org> (f)", "joe@x.org " },
  { "an escaped parenthesis in a comment", "(a \\) b) joe@x.org", "joe@x.org " },
  { "only a comment", "(nobody)", "" },
  { "blanks around the parts", "joe . doe @ x . org", "joe.doe@x.org " },
  { "folded in the middle", "joe\n @x.org,\n\tbob@x.org\n", "joe@x.org bob@x.org " },
  { "a quoted local part", "\"joe doe\"@x.org", "joe doe@x.org " },
  { "a quoted local part with an at sign", "\"a@b\"@x.org", "a@b@x.org " },
  { "a quoted local part with escapes", "\"a\\\"b\\\\c\"@x.org", "a\"b\\c@x.org " },
  { "a quoted word among others", "a.\"b c\".d@x.org", "a.b c.d@x.org " },
  { "a line end in a quoted local part is folding", "\"a\n b\"@x.org", "a b@x.org " },
  { "a backslash in an atom", "a\\,b@x.org", "a,b@x.org " },
  { "a domain literal", "joe@[192.0.2.1]", "joe@[192.0.2.1] " },
  { "an IPv6 literal", "joe@[IPv6:2001:db8::1]", "joe@[IPv6:2001:db8::1] " },
  { "the marker of bounces of bounces", "\"#\"@[]", "#@[] " },
  { "dots where they do not belong", ".joe..doe.@x.org", ".joe..doe.@x.org " },
  { "a trailing dot of the domain is dropped", "joe@x.org.", "joe@x.org " },
  { "an at sign with nothing behind it is dropped", "joe@, bob@x.org", "joe bob@x.org " },
  { "two at signs", "joe@a.org@x.org", "joe@a.org@x.org " },
  { "the null address", "<>", " " },
  { "the null address with blanks and a comment", "nobody < (x) >", " " },
  { "a source route", "<@a.org,@b.org:joe@x.org>", "joe@x.org " },
  { "a source route without angle brackets", "@a.org,@b.org:joe@x.org, bob", "joe@x.org bob " },
  { "two source routes", "<@a.org:@b.org:joe@x.org>", "joe@x.org " },
  { "a source route before a display name", "@a.org:Joe Doe <joe@x.org>", "joe@x.org " },
  { "a source route before a group's name", "@a.org:the friends: bob;", "bob " },
  { "a source route to nobody", "<@a.org:>", " " },
  { "a group", "friends: joe@x.org, Bob <bob@y.org>;", "joe@x.org bob@y.org " },
  { "an empty group", "undisclosed-recipients:;", "" },
  { "a group among addresses", "a, g: b, c; , d", "a b c d " },
  { "a group with a quoted name", "\"a: b\" (c): joe@x.org;", "joe@x.org " },
  { "a group that nobody closes", "undisclosed-recipients:", "" },
  { "two groups without a comma", "a: b; c: d;", "b d " },
  { "semicolons as separators", "a@x.org; b@y.org", "a@x.org b@y.org " },
  { "a missing comma between bare addresses", "a@x.org b@y.org c", "a@x.org b@y.org c " },
  { "a missing comma after an angle", "<a@x.org> <b@y.org> Bob <c@z.org> d",
    "a@x.org b@y.org c@z.org d " },
  { "a missing comma across a comment", "a (x) b", "a b " },
  { "a comment that does not end", "joe@x.org (work", 0 },
  { "a nested comment that does not end", "joe@x.org (work (very)", 0 },
  { "a quote that does not end", "\"joe@x.org", 0 },
  { "a literal that does not end", "joe@[192.0.2.1", 0 },
  { "a backslash at the end of an atom", "joe\\", 0 },
  { "a backslash at the end of a line", "joe\\\n bob", 0 },
  { "a backslash at the end of a quote", "\"joe\\", 0 },
  { "a backslash at the end of a comment", "(joe\\", 0 },
  { "an angle that does not end", "Joe <joe@x.org", 0 },
  { "an angle within an angle", "<<joe@x.org>>", 0 },
  { "an angle that was not opened", "joe@x.org>", 0 },
  { "a parenthesis that was not opened", "joe) <joe@x.org>", 0 },
  { "a bracket that was not opened", "joe@x.org]", 0 },
  { "two words in an angle", "<joe doe@x.org>", 0 },
  { "a comma in an angle", "<joe,bob@x.org>", 0 },
  { "a group in a group", "a: b: c;;", 0 },
  { "no local part", "@x.org", 0 },
  { "an empty quoted local part", "\"\"@x.org", 0 },
  { "a route that does not end", "<@a.org joe>", 0 },
  { "only an at sign", "@", 0 },
  { "an address in a source route", "@a.org,b@c.org:joe@x.org", 0 },
  { "the same in angles", "<@a.org,b@c.org:joe@x.org>", 0 },
};

static int collect(void *data, struct addrlist_addr const *a)
{
  stralloc *sa = data;
  if (a->at > a->len || (a->at < a->len && a->s[a->at] != '@')) return (errno = EINVAL, 0);
  return stralloc_catb(sa, a->s, a->len) && stralloc_catb(sa, " ", 1);
}

static void parse_all(void)
{
  stralloc sa = STRALLOC_ZERO;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    /* In a buffer of its exact size, so that the sanitizers see every byte too far. */
    size_t len = strlen(cases[i].list);
    char *list = malloc(len ? len : 1);
    if (!list) exit(111);
    memcpy(list, cases[i].list, len);
    sa.len = 0;
    int r = addrlist_parse(list, len, collect, &sa);
    int ok = !cases[i].expected ? r == 0
                                : r == 1 && sa.len == strlen(cases[i].expected) &&
                                    (!sa.len || !memcmp(sa.s, cases[i].expected, sa.len));
    check(ok, cases[i].why);
    if (!ok) printf("  got %d: %.*s\n", r, (int)sa.len, sa.len ? sa.s : "");
    free(list);
  }
  stralloc_free(&sa);
}

/* Every beginning of every case, and with each byte replaced: no answer but 0 and 1, no crash. */
static void parse_parts(void)
{
  static char const bytes[] = "\\\"()[]<>@:;,. \n\r\200a";
  stralloc sa = STRALLOC_ZERO;
  int ok = 1;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t len = strlen(cases[i].list);
    for (size_t n = 0; n < len; n++) {
      char *list = malloc(len);
      if (!list) exit(111);
      memcpy(list, cases[i].list, len);
      for (size_t b = 0; b < sizeof bytes; b++) {
        list[n] = bytes[b];
        sa.len = 0;
        if (addrlist_parse(list, n + 1, collect, &sa) == -1) ok = 0;
        if (addrlist_parse(list, len, collect, &sa) == -1) ok = 0;
      }
      free(list);
    }
  }
  check(ok, "every cut and every changed byte gives a plain answer");
  stralloc_free(&sa);
}

struct offsets {
  char const *list;
  stralloc out;
  size_t copied;
};

/* Mark every place that a caller may want to change. */
static int mark(void *data, struct addrlist_addr const *a)
{
  struct offsets *o = data;
  struct { size_t at; char const *sign; } const marks[] = {
    { a->comma, a->nocomma ? "!" : "" }, { a->element, "{" }, { a->route, "<" }, { a->local, "|" },
    { a->end, ">" }, { a->resume, "}" },
  };
  for (size_t i = a->nocomma ? 0 : 1; i < sizeof marks / sizeof *marks; i++) {
    if (marks[i].at < o->copied) return (errno = EINVAL, 0);
    stralloc_catb(&o->out, o->list + o->copied, marks[i].at - o->copied);
    stralloc_catb(&o->out, marks[i].sign, strlen(marks[i].sign));
    o->copied = marks[i].at;
  }
  return 1;
}

static void offsets(char const *list, char const *expected, char const *why)
{
  struct offsets o = { .list = list, .out = STRALLOC_ZERO };
  int r = addrlist_parse(list, strlen(list), mark, &o);
  stralloc_catb(&o.out, list + o.copied, strlen(list) - o.copied);
  int ok = r == 1 && o.out.len == strlen(expected) && !memcmp(o.out.s, expected, o.out.len);
  check(ok, why);
  if (!ok) printf("  got %d: %.*s\n", r, (int)o.out.len, o.out.s);
  stralloc_free(&o.out);
}

static int count(void *data, struct addrlist_addr const *a)
{
  (void)a;
  ++*(size_t *)data;
  return 1;
}

/* The time for <unit> <n> times over, in seconds of CPU. */
static double cost(char const *unit, size_t n, char const *tail)
{
  stralloc sa = STRALLOC_ZERO;
  size_t found = 0;
  for (size_t i = 0; i < n; i++)
    if (!stralloc_catb(&sa, unit, strlen(unit))) exit(111);
  if (!stralloc_cats(&sa, tail)) exit(111);
  clock_t began = clock();
  if (addrlist_parse(sa.s, sa.len, count, &found) == -1) exit(111);
  stralloc_free(&sa);
  return (double)(clock() - began) / CLOCKS_PER_SEC;
}

static void bounded(char const *unit, char const *tail, char const *why)
{
  double t = cost(unit, 1000000, tail);
  check(t < 4, why);
  if (t >= 4) printf("  %.1f s\n", t);
}

static int stop(void *data, struct addrlist_addr const *a)
{
  (void)a;
  return ++*(int *)data < 2 ? 1 : (errno = E2BIG, 0);
}

static void quote(char const *address, char const *expected, char const *why)
{
  stralloc sa = STRALLOC_ZERO;
  int ok = addrlist_quote(&sa, address, strlen(address)) && sa.len == strlen(expected) &&
           (!sa.len || !memcmp(sa.s, expected, sa.len));
  check(ok, why);
  if (!ok) printf("  got %.*s\n", (int)sa.len, sa.s);
  stralloc_free(&sa);
}

int main(void)
{
  struct rlimit const small = { 262144, 262144 };
  int calls = 0;
  size_t found = 0;
  setrlimit(RLIMIT_STACK, &small);
  parse_all();
  parse_parts();
  check(addrlist_parse("a\0b@x", 5, count, &found) == 1 && found == 1, "a NUL is a byte like others");
  check(addrlist_parse("\"\0\"@[\0]", 7, count, &found) == 1 && found == 2, "also in quotes");

  offsets(" Joe <joe@x.org> ", " {Joe <<|joe@x.org>}> ", "offsets of an address in angles");
  offsets("joe (c)", "{<|joe>} (c)", "offsets of a bare address before a comment");
  offsets("joe@x. , b", "{<|joe@x>.} , {<|b>}", "a dropped dot lies between end and resume");
  offsets("joe@,b", "{<|joe>@},{<|b>}", "so does a dropped at sign");
  offsets("a (c) b", "{<|a>} (c)! {<|b>}", "a missing comma belongs behind the comment");
  offsets("<a> Bob <b>", "{<<|a>}>! {Bob <<|b>}>", "a missing comma belongs behind the angle");
  offsets("J <@a:b@c>", "{J <<@a:|b@c>}>", "offsets of a source route");
  offsets("N <>", "{N <<|>}>", "offsets of the null address");

  check(addrlist_parse("a,b,c", 5, stop, &calls) == -1 && errno == E2BIG && calls == 2,
        "the callback stops the walk with its errno");

  bounded("(", "", "a million open comments");
  bounded("(", ")", "a million open comments and one that is closed");
  bounded("(x)", "a", "a million comments");
  bounded(",", "", "a million commas");
  bounded("<", "", "a million open angles");
  bounded("a:", "", "a million open groups");
  bounded("a:;", "", "a million groups");
  bounded("a ", "", "a million addresses without commas");
  bounded("a ", "<a@b>", "a million words of a display name");
  bounded("a,", "", "a million addresses");
  bounded("a(c) ", "", "a million addresses with comments, without commas");
  bounded("<a>", "", "a million angles without commas");
  bounded("@a,", ":b", "a source route over a million hosts");
  bounded("@a:", "b", "a million source routes");
  bounded("a.", "b@c", "a local part of a million words");
  bounded("a@", "b", "a million at signs");
  bounded("\"\" ", "", "a million empty quotes");
  bounded("\\a", "", "a million backslashes");
  bounded("[", "", "a million open literals");

  quote("joe@x.org", "joe@x.org", "a plain address needs no quoting");
  quote("joe", "joe", "a local name neither");
  quote("", "", "the null address neither");
  quote("joe doe@x.org", "\"joe doe\"@x.org", "a space is quoted");
  quote("a\"b\\c@x.org", "\"a\\\"b\\\\c\"@x.org", "quotes and backslashes are escaped");
  quote("a..b@x.org", "\"a..b\"@x.org", "two dots in a row are quoted");
  quote(".a@x.org", "\".a\"@x.org", "so is a dot at the beginning");
  quote("a.@x.org", "\"a.\"@x.org", "and one at the end");
  quote("a@b@x.org", "\"a@b\"@x.org", "the last at sign separates");
  quote("@x.org", "\"\"@x.org", "an empty local part is quoted");
  return check_done();
}
