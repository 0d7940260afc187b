/* t-loop.c - Delivered-To lines, in pieces of any size */

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "../../local/loop.h"

static struct loop_case {
  char const *why, *message;
  int loops;
} const cases[] = {
    {"our line", "Delivered-To: joe@host.example\n\n", 1},
    {"our line among others", "A: b\nDelivered-To: joe@host.example\nC: d\n\nx\n", 1},
    {"case of the name and the host", "delivered-TO: joe@HOST.Example\n\n", 1},
    {"blanks and CR around", "Delivered-To:\t joe@host.example \r\n\r\n", 1},
    {"no blank", "Delivered-To:joe@host.example\n", 1},
    {"a blank before the colon", "Delivered-To : joe@host.example\n", 1},
    {"folded before the address", "A: b\nDelivered-To:\n joe@host.example\nC: d\n\n", 1},
    {"folded with CR, twice", "Delivered-To:\r\n\t\r\n  joe@host.example\r\n\r\nx", 1},
    {"folded in the address", "Delivered-To: joe@ \n\thost.example\n\n", 1},
    {"folded, and the message ends", "Delivered-To:\n joe@host.example", 1},
    {"a folded field of another name", "A:\n Delivered-To: joe@host.example\n\n", 0},
    {"behind a folded field", "A:\n b\n c\nDelivered-To: joe@host.example\n", 1},
    {"a fold of our line that says more", "Delivered-To: joe@host.example\n x\n\n", 0},
    {"blanks at the start of the message", " x\nDelivered-To: joe@host.example\n", 1},
    {"a CR at the start of a line", "A: b\n\rC: d\nDelivered-To: joe@host.example\n", 1},
    {"8-bit text around", "A: \xff\xc3\xa4\nDelivered-To: joe@host.example\xff\n\xe9: \xe9\n\n", 0},
    {"8-bit text in front", "A: \xff\n \xc3\xa4\nDelivered-To: joe@host.example\n", 1},
    {"a last line without newline", "A: b\nDelivered-To: joe@host.example", 1},
    {"case of the local part matters", "Delivered-To: Joe@host.example\n", 0},
    {"another host", "Delivered-To: joe@host.example.org\n", 0},
    {"another user", "Delivered-To: xjoe@host.example\n", 0},
    {"another header", "X-Delivered-To: joe@host.example\n", 0},
    {"the body does not count", "A: b\n\nDelivered-To: joe@host.example\n", 0},
    {"nor after an empty line of CR LF", "A: b\r\n\r\nDelivered-To: joe@host.example\n", 0},
    {"an empty message", "", 0},
    {"a body only", "\nDelivered-To: joe@host.example\n", 0},
};

static int run(char const *s, size_t len, size_t step)
{
  static struct loop l;
  static char const address[] = "joe@host.example";
  loop_init(&l, address, sizeof address - 1);
  for (size_t at = 0; at < len; at += step)
    if (!loop_look(&l, s + at, len - at < step ? len - at : step)) return 1;
  return !loop_end(&l);
}

static void long_lines(void)
{
  static char s[3 * LOOP_LINE_MAX];
  static char const line[] = "\nDelivered-To: joe@host.example\n\n";
  int good = 1;
  for (size_t len = LOOP_LINE_MAX - 40; len < LOOP_LINE_MAX + 40; len++) {
    memset(s, 'x', len);
    memcpy(s + len, line, sizeof line - 1);
    for (size_t step = 1; step < 5; step++) good &= run(s, len + sizeof line - 1, step);
    good &= run(s, len + sizeof line - 1, sizeof s);
  }
  check(good, "our line behind a line of any length");
}

#define LONG (LOOP_LINE_MAX + 10)
static void hops(void)
{
  static char s[LOOP_HOPS * LONG];
  size_t len = 0;
  for (int i = 1; i < LOOP_HOPS; i++) len += (size_t)sprintf(s + len, "received: a\n b\n");
  check(!run(s, len, 7), "as many Received fields as may be");
  size_t more = len + (size_t)sprintf(s + len, "\nReceived: x\n");
  check(!run(s, more, 7), "one in the body does not count");
  more = len + (size_t)sprintf(s + len, "Received: x\n\n");
  check(run(s, more, 7) && run(s, more, sizeof s), "one too many");
  memset(s, 'x', sizeof s);
  for (int i = 0; i < LOOP_HOPS; i++) {
    memcpy(s + LONG * i, "Received:", 9);
    s[LONG * (i + 1) - 1] = '\n';
  }
  check(run(s, LONG * LOOP_HOPS, 777), "long ones count");
}

int main(void)
{
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t len = strlen(cases[i].message);
    int good = 1;
    for (size_t step = 1; step <= len + 1; step++)
      good &= run(cases[i].message, len, step) == cases[i].loops;
    check(good, cases[i].why);
  }
  long_lines();
  hops();
  return check_done();
}
