/* dotforward.c - dot-forward: follow a .forward file of sendmail's
 *
 * usage: dot-forward [-nN] file...
 *
 * The first file that is there and says something is followed: addresses are
 * forwarded to, "|program" gets the message with UFLINE, RPLINE and DTLINE before it. -n
 * says what would be done, on stderr. All of a file is understood before anything is done.
 *
 * exit: 99 done, the lines that follow are ignored; 0 no such file, or it names the
 * user himself: the lines that follow deliver; 100 never, 111 try later.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "complete.h"
#include "helper.h"
#include "maillist.h"
#include "program.h"

#define USAGE    "dot-forward [-nN] file..."
#define FILE_MAX 1048576 /* bytes of a file */

struct plan {
  struct complete hosts;
  stralloc rcpts, programs; /* lists */
  stralloc addr;
  int direct; /* the user himself is among them */
};

static int is_user(char const *s, int hasdomain)
{
  char const *user = getenv("USER"), *host = getenv("HOST");
  if (!user || !*user) return 0;
  if (!hasdomain) return !strcasecmp(s, user);
  size_t n = strlen(user);
  return host && !strncasecmp(s, user, n) && s[n] == '@' && !strcasecmp(s + n + 1, host);
}

static char const *on_item(void *data, enum maillist_kind kind, char const *text, size_t len,
                           int hasdomain)
{
  struct plan *p = data;
  switch (kind) {
  case MAILLIST_FILE: return "deliveries to files are not supported; a dot-qmail file can have one";
  case MAILLIST_INCLUDE: return ":include: is not supported";
  case MAILLIST_PROGRAM: helper_add_string(&p->programs, text); return 0;
  case MAILLIST_ADDRESS: break;
  }
  if (is_user(text, hasdomain)) {
    p->direct = 1;
    return 0;
  }
  p->addr.len = 0;
  helper_add(&p->addr, text, len);
  if (!complete_address(&p->hosts, &p->addr)) helper_nomem();
  helper_add(&p->addr, "", 1);
  helper_add_string(&p->rcpts, p->addr.s);
  return 0;
}

static void read_file(struct plan *p, char const *path, stralloc const *text)
{
  char number[SIZE_FMT];
  size_t line = 0;
  for (size_t pos = 0; pos < text->len;) {
    char const *s = text->s + pos;
    char const *newline = memchr(s, '\n', text->len - pos);
    size_t len = newline ? (size_t)(newline - s) : text->len - pos;
    number[size_fmt(number, ++line)] = 0;
    char const *why = len && *s == '#' ? 0 : maillist_parse(s, len, on_item, p);
    if (why) strerr_dief(EXIT_TEMPORARY, path, " line ", number, ": ", why);
    pos += len + 1;
  }
}

static void describe(struct plan const *p)
{
  for (size_t i = 0; i < p->programs.len; i += strlen(p->programs.s + i) + 1)
    strerr_warn("pipe through ", p->programs.s + i);
  for (size_t i = 0; i < p->rcpts.len; i += strlen(p->rcpts.s + i) + 1)
    strerr_warn("forward ", p->rcpts.s + i);
}

static void perform(struct plan const *p)
{
  stralloc head = STRALLOC_ZERO;
  child_add_prelines(&head);
  for (size_t i = 0; i < p->programs.len; i += strlen(p->programs.s + i) + 1) {
    child_shell(p->programs.s + i, &head);
    queue_rewind();
  }
  if (p->rcpts.len) queue_say(queue_forward(helper_env("NEWSENDER"), &p->rcpts));
  stralloc_free(&head);
}

/* Follow one file. Is that all? */
static int follow(struct plan *p, char const *path, int describing)
{
  stralloc text = STRALLOC_ZERO;
  if (!helper_slurp(path, &text, FILE_MAX, 0)) return 0;
  read_file(p, path, &text);
  stralloc_free(&text);
  if (!p->direct && !p->programs.len && !p->rcpts.len) {
    if (describing) strerr_warn("skipping empty file ", path);
    return 0;
  }
  if (describing)
    describe(p);
  else
    perform(p);
  return 1;
}

int dotforward_main(int argc, char const *const *argv)
{
  struct plan p = {.hosts = COMPLETE_ZERO};
  subgetopt l = SUBGETOPT_ZERO;
  char const *why;
  int describing = 0, done = 0;
  for (int opt; (opt = subgetopt_r(argc, argv, "nN", &l)) != -1;) {
    if (opt == '?') strerr_dieusage(EXIT_PERMANENT, USAGE);
    describing = opt == 'n';
  }
  if (!argv[l.ind]) strerr_dieusage(EXIT_PERMANENT, USAGE);
  int r = complete_load(&p.hosts, &why);
  if (r) strerr_dief(r, why);
  for (char const *const *file = argv + l.ind; *file && !done; file++)
    done = follow(&p, *file, describing);
  if (describing && (!done || p.direct)) strerr_warn("direct delivery", "");
  return done && !p.direct ? HELPER_STOP : 0;
}
