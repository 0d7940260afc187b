/* senders.c - control/senders; see senders.h */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "address.h"
#include "control.h"
#include "mailboxes.h"
#include "senders.h"
#include "word.h"

#define BETWEEN " \t,"

/* Where the first colon behind the login is: a login may not hold one. */
static int is_line(char const *line)
{
  char const *colon = strchr(line, ':');
  if (!colon || colon == line) return 0;
  for (char const *p = colon + 1 + strspn(colon + 1, BETWEEN); *p; p += strspn(p, BETWEEN)) {
    size_t len = strcspn(p, BETWEEN);
    if (!memchr(p, '@', len) && !word_is(p, len, "any") && !word_is(p, len, "self")) return 0;
    p += len;
  }
  return 1;
}

static int check(stralloc const *lines)
{
  for (size_t i = 0; i < lines->len; i += strlen(lines->s + i) + 1)
    if (!is_line(lines->s + i)) {
      char text[160];
      snprintf(text, sizeof text, "\"%.80s\": write login:address, with @domain, any or self", lines->s + i);
      control_bad_entry("senders", text);
      return 0;
    }
  return 1;
}

int senders_load(struct senders *s)
{
  struct senders fresh = SENDERS_ZERO;
  if (control_list("senders", &fresh.lines) != -1 && check(&fresh.lines) &&
      control_line_or_me("me", &fresh.me) != -1 && control_list("locals", &fresh.locals) != -1) {
    senders_free(s);
    *s = fresh;
    return 1;
  }
  senders_free(&fresh);
  return 0;
}

void senders_free(struct senders *s)
{
  stralloc_free(&s->lines);
  stralloc_free(&s->me);
  stralloc_free(&s->locals);
}

/* Does the pattern, in which '*' stands for anything, fit? Going back to the last star is enough. */
static int fits(char const *pattern, size_t plen, char const *s, size_t len)
{
  size_t p = 0, i = 0, star = plen, mark = 0;
  while (i < len) {
    if (p < plen && pattern[p] == '*') {
      star = p++;
      mark = i;
    } else if (p < plen && !strncasecmp(pattern + p, s + i, 1)) {
      p++;
      i++;
    } else if (star < plen) {
      p = star + 1;
      i = ++mark;
    } else {
      return 0;
    }
  }
  while (p < plen && pattern[p] == '*') p++;
  return p == plen;
}

/* Is local[0..len) the name <login>, perhaps with a tag? */
static int is_own_local(char const *login, size_t loginlen, char const *local, size_t len)
{
  if (len < loginlen || strncasecmp(login, local, loginlen)) return 0;
  return len == loginlen || local[loginlen] == MAILBOXES_BREAK;
}

static int is_our_domain(struct senders const *s, char const *domain, size_t len)
{
  if (word_is(domain, len, s->me.s)) return 1;
  for (size_t i = 0; i < s->locals.len; i += strlen(s->locals.s + i) + 1)
    if (word_is(domain, len, s->locals.s + i)) return 1;
  return 0;
}

static int is_self(struct senders const *s, char const *login, char const *addr, size_t len)
{
  size_t at = address_at(addr, len);
  size_t loginlen = strlen(login);
  size_t login_at = address_at(login, loginlen);
  if (at == len || !login_at || !is_own_local(login, login_at, addr, at)) return 0;
  if (login_at == loginlen) return is_our_domain(s, addr + at + 1, len - at - 1);
  return word_is(addr + at + 1, len - at - 1, login + login_at + 1);
}

static int pattern_fits(struct senders const *s, char const *login, char const *pattern,
                        size_t plen, char const *addr, size_t len)
{
  size_t at = address_at(addr, len);
  if (word_is(pattern, plen, "any")) return 1;
  if (word_is(pattern, plen, "self")) return is_self(s, login, addr, len);
  if (at == len) return 0;
  if (*pattern != '@') return fits(pattern, plen, addr, len);
  pattern++;
  plen--;
  char const *domain = addr + at + 1;
  size_t domainlen = len - at - 1;
  if (!plen || *pattern != '.') return plen == domainlen && !strncasecmp(pattern, domain, plen);
  return domainlen > plen && !strncasecmp(pattern, domain + domainlen - plen, plen);
}

static int line_fits(struct senders const *s, char const *login, char const *patterns,
                     char const *addr, size_t len)
{
  for (char const *p = patterns + strspn(patterns, BETWEEN); *p; p += strspn(p, BETWEEN)) {
    size_t n = strcspn(p, BETWEEN);
    if (pattern_fits(s, login, p, n, addr, len)) return 1;
    p += n;
  }
  return 0;
}

/* Go through the lines of <name>: 1 one fits, 0 none does, -1 there are none. */
static int lines_fit(struct senders const *s, char const *name, char const *login, char const *addr,
                     size_t len)
{
  int result = -1;
  for (size_t i = 0; i < s->lines.len && result != 1; i += strlen(s->lines.s + i) + 1) {
    char const *line = s->lines.s + i;
    char const *colon = strchr(line, ':');
    if (word_is(line, (size_t)(colon - line), name))
      result = line_fits(s, login, colon + 1, addr, len);
  }
  return result;
}

int senders_may(struct senders const *s, char const *login, char const *addr, size_t len)
{
  if (!len) return 1;
  int r = lines_fit(s, login, login, addr, len);
  if (r == -1) r = lines_fit(s, "*", login, addr, len);
  return r == -1 ? is_self(s, login, addr, len) : r;
}
