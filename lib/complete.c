/* complete.c - complete addresses and rewrite their hosts; see complete.h */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "address.h"
#include "complete.h"
#include "control.h"
#include "program.h"

static char text[640];

static int bad(int code, char const *where, char const *name, char const **why)
{
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

static int add_rule(struct complete *c, char const *start, stralloc const *domain)
{
  if (!domain->len) return 1;
  return stralloc_cats(&c->rules, start) && stralloc_catb(&c->rules, domain->s, domain->len) &&
         stralloc_0(&c->rules);
}

int complete_load(struct complete *c, char const **why)
{
  static struct {
    char const *start, *file, *variable;
  } const made[] = {
    { "=:", "defaulthost", "QMAILDEFAULTHOST" },
    { "*+:.", "plusdomain", "QMAILPLUSDOMAIN" },
    { "?:.", "defaultdomain", "QMAILDEFAULTDOMAIN" },
  };
  stralloc domain = STRALLOC_ZERO;
  int r = 0;
  c->rules.len = 0;
  for (size_t i = 0; !r && i < sizeof made / sizeof *made; i++) {
    r = complete_domain(&domain, made[i].file, made[i].variable, why);
    if (!r && !add_rule(c, made[i].start, &domain)) r = no_memory(why);
  }
  stralloc_free(&domain);
  return r;
}

/* The first of the instructions that is none, or NULL. */
static char const *no_rule(stralloc const *rules)
{
  for (size_t i = 0; i < rules->len; i += strlen(rules->s + i) + 1) {
    char const *rule = rules->s + i;
    if (!strchr("=*?-", *rule) || !strchr(rule, ':') || !address_is_clean(rule, strlen(rule)))
      return rule;
  }
  return 0;
}

int complete_load_rewrite(struct complete *c, char const **why)
{
  char const *path = getenv("QMAILREWRITEFILE");
  char const *name = path && *path ? path : "rewrite";
  if (name == path && !strchr(path, '/')) {
    snprintf(text, sizeof text, "QMAILREWRITEFILE holds no path: %.200s; write /path/to/file", path);
    return (*why = text, EXIT_PERMANENT);
  }
  c->rules.len = 0;
  int r = control_list(name, &c->rules);
  if (!r && name == path) {
    snprintf(text, sizeof text, "%.500s: no such file; QMAILREWRITEFILE names it", path);
    return (*why = text, EXIT_TEMPORARY);
  }
  if (!r) return complete_load(c, why);
  char const *rule = r == 1 ? no_rule(&c->rules) : 0;
  if (rule) {
    snprintf(text, sizeof text,
             "%.100s: not an instruction; write =post:new, *post:new, ?post:new or -post:new", rule);
    r = control_bad_entry(name, text);
  }
  if (r == -1) return (*why = control_why(), EXIT_TEMPORARY);
  return 0;
}

static int is_plain(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (strchr("./[]", s[i])) return 0;
  return len > 0;
}

static int apply(stralloc *host, char const *rule)
{
  char const *post = rule + 1;
  char const *colon = strchr(post, ':');
  size_t n = colon ? (size_t)(colon - post) : 0;
  if (!colon || host->len < n) return 1;
  size_t before = host->len - n;
  if (n && strncasecmp(host->s + before, post, n)) return 1;
  if (*rule == '=' && before) return 1;
  if (*rule == '?' && !is_plain(host->s, before)) return 1;
  host->len = *rule == '-' ? 0 : before;
  return stralloc_cats(host, colon + 1);
}

int complete_host(struct complete const *c, stralloc *out, char const *s, size_t len)
{
  if (!stralloc_ready(out, len + 1) || !stralloc_copyb(out, s, len)) return 0;
  for (size_t i = 0; i < c->rules.len; i += strlen(c->rules.s + i) + 1)
    if (!apply(out, c->rules.s + i)) return 0;
  return 1;
}

int complete_address(struct complete const *c, stralloc *addr)
{
  stralloc host = STRALLOC_ZERO;
  size_t at = address_at(addr->s, addr->len);
  if (!addr->len) return 1;
  if (at < addr->len)
    while (addr->len > at && (addr->s[addr->len - 1] == '.' || addr->len == at + 1)) addr->len--;
  at = address_at(addr->s, addr->len);
  size_t domain = at < addr->len ? at + 1 : at;
  int ok = complete_host(c, &host, addr->s + domain, addr->len - domain);
  if (ok) addr->len = at;
  if (ok && host.len) ok = stralloc_catb(addr, "@", 1) && stralloc_catb(addr, host.s, host.len);
  stralloc_free(&host);
  return ok;
}

void complete_free(struct complete *c)
{
  stralloc_free(&c->rules);
}
