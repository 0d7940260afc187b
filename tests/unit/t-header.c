/* t-header.c - collect headers, however they come in pieces */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <skalibs/stralloc.h>

#include "check.h"
#include "header.h"

static struct {
  char const *why, *message, *header;
  int empty;
  char const *body;
} const cases[] = {
  { "nothing", "", "", 0, "" },
  { "only an empty line", "\n", "", 1, "" },
  { "a header and a body", "A: b\nC: d\n\nbody\n", "A: b\nC: d\n", 1, "body\n" },
  { "a body that begins with an empty line", "A: b\n\n\nx", "A: b\n", 1, "\nx" },
  { "no body", "A: b\n", "A: b\n", 0, "" },
  { "an empty line as body", "A: b\n\n", "A: b\n", 1, "" },
  { "a last field without line end", "A: b\nC:", "A: b\nC:\n", 0, "" },
  { "continued fields", "A: b\n c\n\td\nE: f\n\n", "A: b\n c\n\td\nE: f\n", 1, "" },
  { "a continuation of blanks only", "A: b\n  \nC: d\n\n", "A: b\n  \nC: d\n", 1, "" },
  { "a blank first line is body", " x\nA: b\n", "", 0, " x\nA: b\n" },
  { "a line without colon is body", "A: b\nhello there\nC: d\n", "A: b\n", 0, "hello there\nC: d\n" },
  { "a last line that is no field", "A: b\nhello", "A: b\n", 0, "hello" },
  { "a last line with a blank that is no field", "A: b\nhello ", "A: b\n", 0, "hello " },
  { "a line of one word is body", "hello\n", "", 0, "hello\n" },
  { "blanks before the colon", "A \t : b\n\n", "A \t : b\n", 1, "" },
  { "no name is body", ": b\n", "", 0, ": b\n" },
  { "an 8-bit name is body", "\303\266: b\n", "", 0, "\303\266: b\n" },
  { "an 8-bit value", "A: \303\266\n\n", "A: \303\266\n", 1, "" },
  { "a control character in the name", "A\1: b\n", "", 0, "A\1: b\n" },
  { "mbox's first line", "From joe Mon 1\nA: b\n\n", "From joe Mon 1\nA: b\n", 1, "" },
  { "mbox's line alone", "From joe", "From joe\n", 0, "" },
  { "mbox's line elsewhere is body", "A: b\nFrom joe Mon 1\n", "A: b\n", 0, "From joe Mon 1\n" },
  { "a From field with a blank", "From : joe\n\n", "From : joe\n", 1, "" },
  { "From and nothing else", "From \nA: b\n", "", 0, "From \nA: b\n" },
};

/* Feed <message> in pieces of <piece> bytes; the header and body as they were seen. */
static int feed(struct header *h, char const *message, size_t len, size_t piece, stralloc *body)
{
  body->len = 0;
  for (size_t pos = 0; pos < len;) {
    size_t n = len - pos < piece ? len - pos : piece;
    char *copy = malloc(n);
    if (!copy) exit(111);
    memcpy(copy, message + pos, n);
    ssize_t used = h->ended ? 0 : header_feed(h, copy, n);
    if (used == -1) return (free(copy), 0);
    if (h->ended && !body->len && h->text.len > h->len &&
        !stralloc_catb(body, h->text.s + h->len, h->text.len - h->len))
      exit(111);
    if (!stralloc_catb(body, copy + used, n - (size_t)used)) exit(111);
    free(copy);
    pos += n;
  }
  int ended = h->ended;
  if (!header_finish(h)) return 0;
  if (!ended && h->text.len > h->len &&
      !stralloc_catb(body, h->text.s + h->len, h->text.len - h->len))
    exit(111);
  return 1;
}

static int same(char const *s, size_t len, char const *expected)
{
  return len == strlen(expected) && (!len || !memcmp(s, expected, len));
}

static void split_all(size_t piece)
{
  stralloc body = STRALLOC_ZERO;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct header h = HEADER_ZERO(1000);
    int ok = feed(&h, cases[i].message, strlen(cases[i].message), piece, &body) &&
             same(h.text.s, h.len, cases[i].header) && h.empty == cases[i].empty &&
             same(body.s, body.len, cases[i].body);
    check(ok, cases[i].why);
    if (!ok)
      printf("  pieces of %zu: header '%.*s' body '%.*s' empty %d\n", piece, (int)h.len,
             h.len ? h.text.s : "", (int)body.len, body.len ? body.s : "", h.empty);
    stralloc_free(&h.text);
  }
  stralloc_free(&body);
}

static void limits(void)
{
  struct header h = HEADER_ZERO(10);
  check(header_feed(&h, "A: 4567890", 10) == 10, "a header may be as long as its limit");
  check(header_feed(&h, "1", 1) == -1 && errno == EMSGSIZE, "and no longer");
  stralloc_free(&h.text);
  h = (struct header)HEADER_ZERO(10);
  check(header_feed(&h, "A: b\n\n0123456789abcdef", 22) == 6 && h.ended && h.len == 5,
        "the body does not count");
  stralloc_free(&h.text);
  h = (struct header)HEADER_ZERO(100);
  check(header_feed(&h, "A: b\0c\n\n", 8) == 8 && h.len == 7, "a NUL in a value stays");
  stralloc_free(&h.text);
}

static void long_name(void)
{
  static char line[HEADER_NAME_MAX + 2];
  memset(line, 'x', sizeof line);
  for (size_t n = HEADER_NAME_MAX - 1; n <= HEADER_NAME_MAX; n++) {
    struct header h = HEADER_ZERO(5000);
    line[n] = ':';
    ssize_t used = header_feed(&h, line, n + 1);
    check(used != -1 && h.ended == (n == HEADER_NAME_MAX), "names have a limit");
    stralloc_free(&h.text);
    line[n] = 'x';
  }
}

static struct {
  char const *why, *line;
  enum header_name name;
  size_t namelen, value;
} const fields[] = {
  { "a field of mbox", "From joe\n", HEADER_MBOX, 0, 0 },
  { "a folded field", "TO: a\n b\n", HEADER_TO, 2, 3 },
  { "blanks before the colon are no part of the name", "cc \t:a\n", HEADER_CC, 2, 5 },
  { "an empty field", "bCC:\n", HEADER_BCC, 3, 4 },
  { "a colon in the value", "Resent-from: x:y\n", HEADER_RESENT_FROM, 11, 12 },
  { "a long name", "resent-Message-id: x\n", HEADER_RESENT_MESSAGE_ID, 17, 18 },
  { "a name that begins like another", "Too: x\n", HEADER_OTHER, 3, 4 },
  { "a name that another begins with", "T: x\n", HEADER_OTHER, 1, 2 },
  { "Return-Path", "Return-Path: <>\n", HEADER_RETURN_PATH, 11, 12 },
};

static void walk(void)
{
  stralloc sa = STRALLOC_ZERO;
  struct header_field f;
  size_t pos = 0;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (!stralloc_cats(&sa, fields[i].line)) exit(111);
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    check(header_next(sa.s, sa.len, &pos, &f) && same(f.s, f.len, fields[i].line) &&
            f.name == fields[i].name && f.namelen == fields[i].namelen && f.value == fields[i].value,
          fields[i].why);
  check(!header_next(sa.s, sa.len, &pos, &f), "the walk ends");
  stralloc_free(&sa);
}

int main(void)
{
  split_all(1000);
  split_all(1);
  split_all(3);
  limits();
  long_name();
  walk();
  return check_done();
}
