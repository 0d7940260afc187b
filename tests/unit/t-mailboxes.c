/* t-mailboxes.c - users/mailboxes.cdb against a plain table; damaged in any byte it says what is
 * right, or that it cannot tell; lines that are refused
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "../../tools/mailbox-put.h"
#include "check.h"
#include "damage.h"
#include "mailboxes.h"

#define PATH      "mailboxes.cdb"
#define BROKEN    "broken.cdb"
#define LINES_MAX 14
#define TABLES    60 /* random ones */
#define SEED      20261128

struct line {
  char kind; /* '=', '&' or '+' */
  char local[8], domain[8];
};

/* The table at hand: the lines that were taken. */
static struct line lines[LINES_MAX];
static size_t nlines;

static int is_for(struct line const *l, char const *local, size_t len, char const *domain)
{
  return l->kind != '+' && strlen(l->local) == len && !strncasecmp(l->local, local, len) &&
         !strcasecmp(l->domain, domain);
}

static struct line const *exact(char const *local, size_t len, char const *domain)
{
  for (size_t i = 0; i < nlines; i++)
    if (is_for(lines + i, local, len, domain)) return lines + i;
  return 0;
}

/* Is there a line with that domain; with <kind>, of that kind? */
static int has_domain(char const *domain, char kind)
{
  for (size_t i = 0; i < nlines; i++)
    if ((!kind || lines[i].kind == kind) && !strcasecmp(lines[i].domain, domain)) return 1;
  return 0;
}

static int naive(char const *local, char const *domain, struct line const **l)
{
  size_t len = strlen(local);
  *l = exact(local, len, domain);
  while (!*l && len--)
    if (local[len] == '+') *l = exact(local, len, domain);
  if (!*l) *l = exact("", 0, domain);
  if (*l) return MAILBOXES_FOUND;
  return has_domain(domain, 0) && !has_domain(domain, '+') ? MAILBOXES_NONE : MAILBOXES_ELSEWHERE;
}

/* May the line stand beside those that were taken? */
static int is_allowed(struct line const *l)
{
  if (l->kind == '+') return !has_domain(l->domain, '+') && !exact("", 0, l->domain);
  if (!*l->local && has_domain(l->domain, '+')) return 0;
  return !exact(l->local, strlen(l->local), l->domain);
}

static void write_line(struct line const *l, size_t i, char text[128])
{
  int n = i % 2;
  if (l->kind == '+') sprintf(text, "+%s%s", l->domain, n ? ":" : "");
  else if (l->kind == '&')
    sprintf(text, "&%s@%s:f%zu@Far.example,g@h%s", l->local, l->domain, i, n ? ":" : "");
  else if (n) sprintf(text, "=%s@%s:::sub/m%zu:10S,2C", l->local, l->domain, i);
  else sprintf(text, "=%s@%s:%zu:7:/own/m%zu/:-:", l->local, l->domain, 100 + i, i);
}

/* Put <n> of the lines into the file; those that are refused leave the table. How often that was
 * not as it should be. */
static int make(struct line const *wanted, size_t n)
{
  struct cdbwrite *w;
  struct mailbox_defaults d = MAILBOX_DEFAULTS_ZERO;
  struct mailbox_line l = MAILBOX_LINE_ZERO;
  char text[128];
  int wrong = 0, fresh;
  nlines = 0;
  if (!cdbwrite_begin(&w, AT_FDCWD, PATH)) exit(111);
  if (mailbox_line(&l, &d, "*5000:5001:/base:1000S", 22) || l.kind) exit(111);
  for (size_t i = 0; i < n; i++) {
    write_line(wanted + i, nlines, text);
    if (mailbox_line(&l, &d, text, strlen(text))) exit(111);
    int known = has_domain(wanted[i].domain, 0);
    char const *why = mailbox_put(w, &l, &fresh);
    wrong += (why == 0) != is_allowed(wanted + i) || (!why && fresh == known);
    if (!why) lines[nlines++] = wanted[i];
  }
  if (!mailbox_put_end(w) || !cdbwrite_commit(w)) exit(111);
  stralloc_free(&d.user);
  stralloc_free(&d.base);
  stralloc_free(&d.quota);
  stralloc_free(&l.addr);
  stralloc_free(&l.fields);
  return wrong;
}

static int find(char const *path, char const *local, char const *domain, struct mailbox *m)
{
  struct cdbmap_stamp stamp = {.size = 0};
  char addr[64];
  int n = snprintf(addr, sizeof addr, "%s@%s", local, domain);
  return mailboxes_find(AT_FDCWD, path, addr, (size_t)n, &stamp, m);
}

/* Is <m> what the line says? */
static int is_mailbox(struct mailbox const *m, struct line const *l)
{
  char text[64], user[24];
  size_t i = (size_t)(l - lines);
  snprintf(user, sizeof user, "%zu", 100 + i);
  if (l->kind == '&') {
    snprintf(text, sizeof text, "&f%zu@Far.example\n&g@h\n", i);
    return m->forward && !m->uid && !m->gid && !*m->user && !*m->home && !strcmp(m->delivery, text);
  }
  snprintf(text, sizeof text, i % 2 ? "./sub/m%zu/" : "./m%zu/", i);
  if (m->forward || strcmp(m->delivery, text)) return 0;
  if (i % 2)
    return m->uid == 5000 && m->gid == 5001 && !strcmp(m->user, "5000") &&
           !strcmp(m->home, "/base") && !strcmp(m->quota, "10S,2C");
  return m->uid == 100 + i && m->gid == 7 && !strcmp(m->user, user) && !strcmp(m->home, "/own") &&
         !*m->quota;
}

static int is_right(int r, struct mailbox const *m, char const *local, char const *domain)
{
  struct line const *l;
  return r == naive(local, domain, &l) && (r != MAILBOXES_FOUND || is_mailbox(m, l));
}

static char const *const domains[] = {"x.ex", "X.ex", "y.ex", "ex"};

static void random_local(char *s, size_t max)
{
  static char const letters[] = "aB+";
  size_t n = (size_t)random() % max;
  for (size_t i = 0; i < n; i++) s[i] = letters[(size_t)random() % (sizeof letters - 1)];
  s[n] = 0;
}

static char const *random_domain(void)
{
  return domains[(size_t)random() % (sizeof domains / sizeof *domains)];
}

static void random_tables(void)
{
  struct mailbox m = MAILBOX_ZERO;
  struct line wanted[LINES_MAX];
  int wrong = 0, refused = 0;
  char local[8];
  srandom(SEED);
  for (int i = 0; i < TABLES; i++) {
    size_t n = (size_t)random() % LINES_MAX;
    for (size_t j = 0; j < n; j++) {
      wanted[j].kind = "==&+"[random() % 4];
      random_local(wanted[j].local, 4);
      strcpy(wanted[j].domain, random_domain());
    }
    refused += make(wanted, n);
    for (int j = 0; j < 200; j++) {
      char const *domain = random_domain();
      random_local(local, sizeof local);
      wrong += !is_right(find(PATH, local, domain, &m), &m, local, domain);
    }
  }
  check(refused == 0, "random tables: lines are refused where an address has one, and only there");
  check(wrong == 0, "and every answer is what the lines say");
  stralloc_free(&m.text);
}

/* The table whose file is damaged, and who is looked up. */
static struct line const known[] = {
    {'=', "ann", "x.ex"}, {'=', "ann+b", "x.ex"}, {'&', "info", "x.ex"}, {'=', "joe", "y.ex"},
    {'&', "", "y.ex"},    {'=', "bob", "z.ex"},   {'+', "", "z.ex"},
};
static struct line const who[] = {
    {0, "Ann", "X.ex"},  {0, "ann+c", "x.ex"}, {0, "ann+b+c", "x.ex"}, {0, "info", "x.ex"},
    {0, "nobody", "x.ex"}, {0, "joe", "y.ex"}, {0, "other", "y.ex"},   {0, "bob", "z.ex"},
    {0, "other", "z.ex"},  {0, "ann", "w.ex"}, {0, "", "x.ex"},
};
#define COUNT(a) (sizeof a / sizeof *(a))

static int lies(struct damage const *d, size_t at)
{
  struct mailbox m = MAILBOX_ZERO;
  int bad = 0;
  (void)d;
  (void)at;
  for (size_t i = 0; i < COUNT(who); i++) {
    int r = find(BROKEN, who[i].local, who[i].domain, &m);
    bad += r == -1 ? errno != EPROTO : !is_right(r, &m, who[i].local, who[i].domain);
  }
  stralloc_free(&m.text);
  return bad;
}

static void damage(void)
{
  static struct damage d;
  struct mailbox m = MAILBOX_ZERO;
  check(make(known, COUNT(known)) == 0 && nlines == COUNT(known), "a table of all kinds of lines");
  damage_load(&d, PATH);
  damage_store(BROKEN, d.whole, d.size);
  check(lies(&d, 0) == 0 && find(BROKEN, "nobody", "x.ex", &m) == MAILBOXES_NONE, "says what is right");
  check(damage_cut(&d, BROKEN, lies) == 0, "cut anywhere: the right answer, or none");
  check(damage_spoil(&d, BROKEN, lies) == 0, "a bit turned in any byte: the right answer, or none");
  stralloc_free(&m.text);
}

static char const *const bad[] = {
    "x",
    "=ann",
    "=ann@",
    "=ann@.ex",
    "=ann@x.",
    "=ann@x..ex",
    "=ann@x/y",
    "=a b@x.ex",
    "=a,b@x.ex",
    "=<a@x.ex>",
    "=@x.ex",
    "=a/b@x.ex",
    "=..@x.ex",
    "=ann@x.ex::::10X",
    "=ann@x.ex::::S",
    "=ann@x.ex::::99999999999999999999S",
    "=ann@x.ex:::../ann",
    "=ann@x.ex:::ann//m",
    "=ann@x.ex:::/",
    "=ann@x.ex:::/a/../b",
    "=ann@x.ex:5::/m",
    "=ann@x.ex:5:6",
    "=ann@x.ex:5:6:m",
    "=ann@x.ex:0:6:/m/n",
    "=ann@x.ex:5:0:/m/n",
    "=ann@x.ex:no-such-user::/m/n",
    "=ann@x.ex:5:no-such-group:/m/n",
    "=ann@x.ex::6",
    "=ann@x.ex:::::x",
    "*",
    "*root::/base",
    "*5::/base",
    "*5:6:base",
    "*5:6:/base/..",
    "*5:6:/base::x",
    "&ann@x.ex",
    "&ann@x.ex:",
    "&ann@x.ex:bob",
    "&ann@x.ex:b@c,,d@e",
    "&ann@x.ex:b@c,",
    "&ann@x.ex:b@c:d@e",
    "&ann@x.ex:Ann@X.ex",
    "&:b@c",
    "+",
    "+ann@",
};

static void refused(void)
{
  struct mailbox_defaults d = MAILBOX_DEFAULTS_ZERO;
  struct mailbox_line l = MAILBOX_LINE_ZERO;
  char why[128];
  check(mailbox_line(&l, &d, "=ann@x.ex", 9) != 0, "without an account a mailbox is refused");
  for (size_t i = 0; i < COUNT(bad); i++) {
    snprintf(why, sizeof why, "%s: refused", bad[i]);
    if (mailbox_line(&l, &d, "*5:6:/base/", 11)) exit(111);
    check(mailbox_line(&l, &d, bad[i], strlen(bad[i])) != 0, why);
  }
}

int main(void)
{
  char const *scratch = getenv("SCRATCH");
  struct mailbox m = MAILBOX_ZERO;
  if (!scratch || chdir(scratch)) return 111;
  check(find("missing.cdb", "ann", "x.ex", &m) == MAILBOXES_ELSEWHERE, "without a file, elsewhere");
  refused();
  random_tables();
  damage();
  return check_done();
}
