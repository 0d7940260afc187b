/* fuzz-aliases.c - what people write into aliases, .forward and lists: deliver/maillist.c, and what a
 * database of aliases may hold: lib/aliases.c
 *
 * Input: a byte that says which, then the text.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../deliver/maillist.h"
#include "address.h"
#include "aliases.h"
#include "fuzz.h"

struct items {
  size_t count;
  stralloc texts; /* each with its kind before and a NUL behind it */
};

static char const *on_item(void *data, enum maillist_kind kind, char const *text, size_t len,
                           int hasdomain)
{
  struct items *i = data;
  char letter = "APFI"[kind];
  REQUIRE(len && len == strlen(text) && address_is_clean(text, len));
  REQUIRE(kind != MAILLIST_ADDRESS || len <= ALIASES_ADDRESS_MAX);
  REQUIRE(kind == MAILLIST_ADDRESS || !hasdomain);
  REQUIRE(!hasdomain || memchr(text, '@', len));
  i->count++;
  REQUIRE(stralloc_catb(&i->texts, &letter, 1) && stralloc_catb(&i->texts, text, len + 1));
  return i->count < 1000 ? 0 : "enough";
}

/* A list of plain words is what stands between its commas and blanks. */
static int is_plain(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (!s[i] || !strchr("abcxyz019-_, \t\n", s[i])) return 0;
  return 1;
}

static void check_plain(struct items const *got, char const *s, size_t len)
{
  size_t n = 0, pos = 0;
  for (size_t i = 0; i < len;) {
    size_t start = i;
    while (i < len && !strchr(", \t\n", s[i])) i++;
    if (i > start && n++ < 1000) {
      REQUIRE(pos + i - start + 2 <= got->texts.len && got->texts.s[pos] == 'A');
      REQUIRE(!memcmp(got->texts.s + pos + 1, s + start, i - start));
      pos += i - start + 2;
    }
    if (i == start) i++;
  }
  REQUIRE(pos == got->texts.len);
}

/* What was understood, written with its quotes, is understood as the same. */
static void check_again(struct items const *first)
{
  struct items again = {.texts = STRALLOC_ZERO};
  stralloc list = STRALLOC_ZERO;
  for (size_t pos = 0; pos < first->texts.len; pos += strlen(first->texts.s + pos) + 1) {
    char const *s = first->texts.s + pos;
    if (*s == 'A') continue;
    REQUIRE(stralloc_cats(&list, *s == 'P' ? "|\"" : *s == 'I' ? ":include:\"" : "\""));
    for (char const *p = s + 1; *p; p++)
      REQUIRE((*p != '"' && *p != '\\') || stralloc_cats(&list, "\\")), REQUIRE(stralloc_catb(&list, p, 1));
    REQUIRE(stralloc_cats(&list, "\","));
    again.count++;
  }
  size_t n = again.count;
  again.count = 0;
  REQUIRE(!maillist_parse(list.s ? list.s : "", list.len, on_item, &again) || again.count == 1000);
  REQUIRE(again.count == n);
  stralloc_free(&list);
  stralloc_free(&again.texts);
}

static void test_list(char const *s, size_t len)
{
  struct items i = {.texts = STRALLOC_ZERO};
  char const *why = maillist_parse(s, len, on_item, &i);
  if (is_plain(s, len)) {
    int fits = !why || i.count == 1000;
    if (fits) check_plain(&i, s, len);
  }
  if (!why) check_again(&i);
  stralloc_free(&i.texts);
}

static void test_target(char const *s, size_t len)
{
  stralloc target = STRALLOC_ZERO;
  int hasdomain = -1;
  size_t colon = maillist_colon(s, len);
  REQUIRE(colon <= len && (colon == len || s[colon] == ':'));
  char const *why = maillist_target(s, colon, &target, &hasdomain);
  if (!why) {
    REQUIRE(target.len && address_is_clean(target.s, target.len) && hasdomain >= 0);
    REQUIRE(!hasdomain || memchr(target.s, '@', target.len));
  }
  stralloc_free(&target);
}

static void test_instructions(char const *s, size_t len)
{
  char const *one = s;
  size_t pos = 0, sum = 0;
  int r;
  while ((r = aliases_next(s, len, &pos, &one)) == 1) {
    REQUIRE(one == s + sum && pos == sum + strlen(one) + 1 && strchr("&|!./", *one) && *one);
    sum = pos;
  }
  REQUIRE(r == 0 ? sum == len : errno == EPROTO && sum == pos && sum < len);
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  struct fuzz f = { (char const *)in, inlen };
  unsigned int which = fuzz_below(&f, 3);
  size_t len;
  char *s = fuzz_unpack(f, &len);
  if (which == 0) test_list(s, len);
  else if (which == 1) test_target(s, len);
  else test_instructions(s, len);
  free(s);
  return 0;
}
