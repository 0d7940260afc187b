/* complete.c - complete addresses; see complete.h */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "complete.h"
#include "control.h"
#include "program.h"

static int bad(int code, char const *where, char const *name, char const **why)
{
  static char text[128];
  snprintf(text, sizeof text, "control character in the %s %s", where, name);
  *why = text;
  return code;
}

static int no_memory(char const **why)
{
  *why = "out of memory";
  return EXIT_TEMPORARY;
}

int complete_domain(stralloc *sa, char const *file, char const *variable, char const **why)
{
  char const *value = getenv(variable);
  if (value) {
    if (!address_is_clean(value, strlen(value)))
      return bad(EXIT_PERMANENT, "environment variable", variable, why);
    return stralloc_copys(sa, value) ? 0 : no_memory(why);
  }
  if (control_line_or_me(file, sa) == -1) return (*why = control_why(), EXIT_TEMPORARY);
  return address_is_clean(sa->s, sa->len) ? 0 : bad(EXIT_TEMPORARY, "control file", file, why);
}

int complete_load(struct complete *c, char const **why)
{
  int r = complete_domain(&c->defaultdomain, "defaultdomain", "QMAILDEFAULTDOMAIN", why);
  if (!r) r = complete_domain(&c->defaulthost, "defaulthost", "QMAILDEFAULTHOST", why);
  if (!r) r = complete_domain(&c->plusdomain, "plusdomain", "QMAILPLUSDOMAIN", why);
  return r;
}

static int ends_with_plus(char const *s, size_t len)
{
  return len && s[len - 1] == '+';
}

/* Append what the domain lacks. */
static int add_domain(struct complete const *c, stralloc *out, char const *domain, size_t len)
{
  stralloc const *more = 0;
  if (ends_with_plus(domain, len))
    more = &c->plusdomain;
  else if (len && *domain != '[' && !memchr(domain, '.', len))
    more = &c->defaultdomain;
  if (!more || !more->len) return 1;
  return stralloc_catb(out, ".", 1) && stralloc_catb(out, more->s, more->len);
}

int complete_missing(struct complete const *c, stralloc *out, char const *s, size_t len, size_t at)
{
  stralloc const *host = &c->defaulthost;
  if (!len) return 1;
  if (at < len) return add_domain(c, out, s + at + 1, len - at - 1);
  if (!host->len) return 1;
  return stralloc_catb(out, "@", 1) &&
         stralloc_catb(out, host->s, host->len - (size_t)ends_with_plus(host->s, host->len)) &&
         add_domain(c, out, host->s, host->len);
}

int complete_has_plus(char const *s, size_t len, size_t at)
{
  return at < len && ends_with_plus(s + at + 1, len - at - 1);
}

int complete_address(struct complete const *c, stralloc *addr)
{
  stralloc more = STRALLOC_ZERO;
  size_t at = address_at(addr->s, addr->len);
  if (at < addr->len)
    while (addr->len > at && (addr->s[addr->len - 1] == '.' || addr->len == at + 1)) addr->len--;
  at = address_at(addr->s, addr->len);
  int ok = complete_missing(c, &more, addr->s, addr->len, at);
  if (complete_has_plus(addr->s, addr->len, at)) addr->len--;
  if (ok && more.len) ok = stralloc_catb(addr, more.s, more.len);
  stralloc_free(&more);
  return ok;
}
