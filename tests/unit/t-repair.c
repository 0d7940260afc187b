/* t-repair.c - the golden headers in tests/data/headers, and that what was mended is not mended again */

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include <skalibs/djbunix.h>
#include <skalibs/stralloc.h>

#include "../../ofmipd/repair.h"
#include "check.h"

/* One file: lines "# why, with a section of an RFC"; settings "sender ", "login ", "name ", "may "
 * (an address he may write as; several), "hosts " (an instruction; several); "in", a header, "out" or
 * "refused ", and what comes of it. */
struct golden {
  char sender[300], login[300], name[300], refused[300];
  stralloc may, rules, in, out;
};

static stralloc idhost = STRALLOC_ZERO;

static enum repair_right may(void *data, char const *s, size_t len)
{
  struct golden const *g = data;
  for (size_t i = 0; i < g->may.len; i += strlen(g->may.s + i) + 1)
    if (strlen(g->may.s + i) == len && !memcmp(g->may.s + i, s, len)) return REPAIR_MAY;
  return REPAIR_MAY_NOT;
}

static int setting(char const *line, char const *name, char out[300])
{
  size_t n = strlen(name);
  if (strncmp(line, name, n)) return 0;
  snprintf(out, 300, "%s", line + n);
  return 1;
}

static int read_golden(struct golden *g, char *text, size_t len)
{
  stralloc *to = 0;
  char value[300];
  int whys = 0;
  strcpy(g->sender, "ann@host.example");
  for (size_t pos = 0; pos < len;) {
    char *line = text + pos;
    char *nl = memchr(line, '\n', len - pos);
    if (!nl) return 0;
    size_t n = (size_t)(nl - line) + 1;
    pos += n;
    if (!strncmp(line, "in\n", n)) to = &g->in;
    else if (to == &g->in && !strncmp(line, "out\n", n)) to = &g->out;
    else if (to == &g->in && n > 8 && !memcmp(line, "refused ", 8)) return *nl = 0, setting(line, "refused ", g->refused) && whys;
    else if (to) { if (!stralloc_catb(to, line, n)) return 0; }
    else {
      *nl = 0;
      if (*line == '#') whys += !!strstr(line, "RFC");
      else if (setting(line, "may ", value)) { if (!stralloc_catb(&g->may, value, strlen(value) + 1)) return 0; }
      else if (setting(line, "hosts ", value)) { if (!stralloc_catb(&g->rules, value, strlen(value) + 1)) return 0; }
      else if (!setting(line, "sender ", g->sender) && !setting(line, "login ", g->login) && !setting(line, "name ", g->name)) return 0;
    }
  }
  return to == &g->out && whys;
}

static int mend(struct golden *g, stralloc const *in, struct repair *r)
{
  struct complete hosts = { .rules = g->rules };
  *r = (struct repair){ .hosts = &hosts, .idhost = &idhost, .now = { .tv_sec = 1795303026 }, .sender = g->sender,
                        .senderlen = strlen(g->sender), .name = *g->name ? g->name : 0, .namelen = strlen(g->name),
                        .login = *g->login ? g->login : 0, .may_write_as = g->may.len ? may : 0, .data = g };
  return repair_header(r, in->s ? in->s : "", in->len);
}

/* The part of a new Message-ID that differs each time becomes ID. */
static void plain(stralloc *sa)
{
  static char const start[] = "Message-ID: <20261121231706.";
  char *s = sa->len ? memmem(sa->s, sa->len, start, sizeof start - 1) : 0;
  char *at = s ? memchr(s, '@', (size_t)(sa->s + sa->len - s)) : 0;
  if (!at) return;
  memcpy(s + 13, "ID", 2);
  memmove(s + 15, at, (size_t)(sa->s + sa->len - at));
  sa->len -= (size_t)(at - s) - 15;
}

static int same(stralloc const *a, stralloc const *b)
{
  return a->len == b->len && (!a->len || !memcmp(a->s, b->s, a->len));
}

static void one(char const *path, char const *name)
{
  static char text[65536];
  struct golden g = { .may = STRALLOC_ZERO };
  struct repair r, again;
  char why[400];
  ssize_t len = openreadnclose(path, text, sizeof text);
  snprintf(why, sizeof why, "%s is a case", name);
  if (len <= 0 || !read_golden(&g, text, (size_t)len)) {
    check(0, why);
    return;
  }
  if (!g.rules.len) stralloc_catb(&g.rules, "=:host.example\0*+:.plus.example\0?:.host.example", 48);
  int ok = mend(&g, &g.in, &r);
  if (*g.refused) {
    char reply[400];
    snprintf(reply, sizeof reply, "%u %s %s", r.code, r.status ? r.status : "", r.text);
    check(!ok && !strcmp(reply, g.refused), name);
    if (strcmp(reply, g.refused)) printf("  got %s\n", reply);
  } else {
    stralloc mended = STRALLOC_ZERO;
    stralloc_copy(&mended, &r.out);
    snprintf(why, sizeof why, "%s: what was mended is not mended again", name);
    check(ok && mend(&g, &mended, &again) && same(&again.out, &mended), why);
    plain(&r.out);
    check(ok && same(&r.out, &g.out), name);
    if (!same(&r.out, &g.out)) printf("  got %u %s\n%.*s", r.code, r.text, (int)r.out.len, r.out.s);
    stralloc_free(&mended);
    stralloc_free(&again.out);
  }
  stralloc_free(&r.out);
  stralloc_free(&g.may);
  stralloc_free(&g.rules);
  stralloc_free(&g.in);
  stralloc_free(&g.out);
}

int main(void)
{
  struct dirent **names;
  int n = scandir("tests/data/headers", &names, 0, alphasort);
  stralloc_copys(&idhost, "id.example");
  for (int i = 0; i < n; i++) {
    char path[400];
    snprintf(path, sizeof path, "tests/data/headers/%s", names[i]->d_name);
    if (names[i]->d_name[0] != '.') one(path, names[i]->d_name);
    free(names[i]);
  }
  if (n > 0) free(names);
  check(n > 40, "there is a corpus");
  stralloc_free(&idhost);
  return check_done();
}
