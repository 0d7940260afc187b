/* t-smtpreply.c - the strict reply parser: each case as a whole, and cut at every byte */

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "smtpreply.h"

#define M SMTPREPLY_MORE
#define C SMTPREPLY_COMPLETE
#define B SMTPREPLY_MALFORMED

static struct reply_case {
  char const *why;
  char const *in;
  size_t inlen;
  enum smtpreply_state state;
  int code;
  size_t used;
  char const *text;
} const cases[] = {
#define S(x) x, sizeof x - 1
  { "one line", S("250 ok\r\n"), C, 250, 8, "250 ok\n" },
  { "several lines", S("250-a\r\n250-b\r\n250 c\r\n"), C, 250, 21, "250-a\n250-b\n250 c\n" },
  { "what follows a reply is left", S("250 ok\r\n550 no\r\n"), C, 250, 8, "250 ok\n" },
  { "a bare code", S("354\r\n"), C, 354, 5, "354\n" },
  { "a bare code in a longer reply", S("250-\r\n250\r\n"), C, 250, 11, "250-\n250\n" },
  { "a bare LF ends a line", S("250 ok\n"), C, 250, 7, "250 ok\n" },
  { "no line end yet", S("250 ok\r"), M, 0, 7, 0 },
  { "a continuation without an end", S("250-ok\r\n"), M, 0, 8, 0 },
  { "nothing at all", S(""), M, 0, 0, 0 },
  { "mixed codes", S("250-ok\r\n550 no\r\n"), B, 0, 0, 0 },
  { "mixed codes of one class", S("250-ok\r\n251 no\r\n"), B, 0, 0, 0 },
  { "first digit 1", S("150 ok\r\n"), B, 0, 0, 0 },
  { "first digit 6", S("650 ok\r\n"), B, 0, 0, 0 },
  { "second digit 6", S("560 ok\r\n"), B, 0, 0, 0 },
  { "code 999", S("999 ok\r\n"), B, 0, 0, 0 },
  { "two digits", S("25\r\n"), B, 0, 0, 0 },
  { "four digits", S("2500 ok\r\n"), B, 0, 0, 0 },
  { "letters", S("2x0 ok\r\n"), B, 0, 0, 0 },
  { "no separator", S("250ok\r\n"), B, 0, 0, 0 },
  { "a tab as separator", S("250\tok\r\n"), B, 0, 0, 0 },
  { "a leading space", S(" 250 ok\r\n"), B, 0, 0, 0 },
  { "an empty line", S("\r\n"), B, 0, 0, 0 },
  { "an empty line inside", S("250-a\r\n\r\n250 b\r\n"), B, 0, 0, 0 },
  { "a NUL as code", S("\0\0\0 ok\r\n"), B, 0, 0, 0 },
  { "control bytes and 8-bit bytes are masked", S("550 a\0b\033c\rd\x7f\xc3\xa9\te\r\n"), C, 550,
    18, "550 a?b?c?d??? e\n" },
};

/* Feed in pieces of <step> bytes. */
static enum smtpreply_state feed(struct smtpreply *r, struct reply_case const *c, size_t step,
                                 size_t *used)
{
  enum smtpreply_state state = M;
  *used = 0;
  smtpreply_start(r);
  while (state == M && *used < c->inlen) {
    size_t n = c->inlen - *used < step ? c->inlen - *used : step, taken;
    state = smtpreply_feed(r, c->in + *used, n, &taken);
    *used += taken;
  }
  return state;
}

static int right(struct reply_case const *c, size_t step)
{
  struct smtpreply r;
  size_t used;
  enum smtpreply_state state = feed(&r, c, step, &used);
  if (state != c->state) return 0;
  if (state == B) return 1;
  if (used != c->used) return 0;
  return state == M ||
         (r.code == c->code && r.textlen == strlen(c->text) && !memcmp(r.text, c->text, r.textlen));
}

/* A line of <len> bytes with CRLF. */
static enum smtpreply_state long_line(size_t len)
{
  static char in[SMTPREPLY_LINE_MAX * 2];
  struct smtpreply r;
  size_t used;
  memset(in, 'x', sizeof in);
  memcpy(in, "250 ", 4);
  in[len - 2] = '\r';
  in[len - 1] = '\n';
  smtpreply_start(&r);
  return smtpreply_feed(&r, in, len, &used);
}

static enum smtpreply_state many_lines(size_t count)
{
  struct smtpreply r;
  size_t used;
  enum smtpreply_state state = M;
  smtpreply_start(&r);
  for (size_t i = 1; i <= count && state == M; i++)
    state = smtpreply_feed(&r, i < count ? "250-xxxx\r\n" : "250 xxxx\r\n", 10, &used);
  return state;
}

static int text_is_bounded(void)
{
  static char in[SMTPREPLY_LINE_MAX];
  struct smtpreply r;
  size_t used;
  memset(in, 'x', sizeof in);
  memcpy(in, "250-", 4);
  in[sizeof in - 1] = '\n';
  smtpreply_start(&r);
  for (int i = 0; i < 50; i++)
    if (smtpreply_feed(&r, in, sizeof in, &used) != M) return 0;
  return r.textlen == SMTPREPLY_TEXT_MAX && r.text[r.textlen - 1] == '\n';
}

int main(void)
{
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int ok = 1;
    for (size_t step = 1; step <= 30; step++) ok &= right(cases + i, step);
    check(ok, cases[i].why);
  }
  check(long_line(SMTPREPLY_LINE_MAX) == C, "a line of the greatest length");
  check(long_line(SMTPREPLY_LINE_MAX + 1) == B, "a line one byte longer");
  check(many_lines(SMTPREPLY_LINES_MAX) == C, "as many lines as are allowed");
  check(many_lines(SMTPREPLY_LINES_MAX + 1) == B, "one line more");
  check(text_is_bounded(), "the text that is kept is bounded");
  return check_done();
}
