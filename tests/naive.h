/* naive.h - the text after DATA as its definition reads: byte by byte, nothing held back
 *
 * What the tests compare smtpd/data.c with.
 */
#ifndef PIPIT_TESTS_NAIVE_H
#define PIPIT_TESTS_NAIVE_H

#include <stdint.h>
#include <string.h>

struct naive {
  char *text; /* room for as many bytes as are read */
  size_t len;
  size_t used; /* bytes up to the end of the text, when it ended */
  int ended;
  int bad;
  uint64_t octets;
};

static inline int naive_is_at(char const *s, size_t len, size_t pos, char const *what)
{
  size_t n = strlen(what);
  return len - pos >= n && !memcmp(s + pos, what, n);
}

/* Read s[0..len) into r->text; everything else is set here. */
static inline void naive_read(struct naive *r, char const *s, size_t len, int mend)
{
  enum { START, SOFT, TEXT } where = START;
  size_t i = 0;
  *r = (struct naive){ .text = r->text };
  while (i < len) {
    if (where == START && naive_is_at(s, len, i, ".\r\n")) {
      r->ended = 1;
      r->used = i + 3;
      return;
    }
    if (where != TEXT && s[i] == '.') {
      where = TEXT;
      i++;
      continue;
    }
    if (naive_is_at(s, len, i, "\r\n")) {
      r->text[r->len++] = '\n';
      r->octets += 2;
      where = START;
      i += 2;
    } else if (s[i] == '\r' && i + 1 == len) {
      return; /* cannot be judged yet */
    } else if (s[i] == '\r' && s[i + 1] == '\r') {
      if (!mend) r->bad = 1;
      where = TEXT;
      i++;
    } else if (s[i] == '\r' || s[i] == '\n') {
      if (!mend) r->bad = 1;
      r->text[r->len++] = '\n';
      r->octets += 2;
      where = SOFT;
      i++;
    } else {
      if (!s[i]) r->bad = 1;
      r->text[r->len++] = s[i];
      r->octets++;
      where = TEXT;
      i++;
    }
  }
}

#endif
