/* newaliases.c - newaliases, newinclude: make what fastforward reads from what sendmail reads
 *
 * usage: newaliases [aliases [cdb]]
 *        newinclude list
 *
 * newaliases reads the file that control/aliasfile names, else /etc/aliases, and writes one of that
 * name with .cdb behind it; or those named;
 * newinclude makes list.bin of an :include: file.
 *
 * exit: 0 written, 100 wrong usage, 111 the old file is still in its place.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <skalibs/bytestr.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "aliases.h"
#include "cdbwrite.h"
#include "complete.h"
#include "control.h"
#include "helper.h"
#include "maillist.h"
#include "program.h"

#define ALIASES  "/etc/aliases"
#define FILE_MAX 67108864 /* bytes of what is read */

struct source {
  char const *path;
  size_t number; /* of the line at hand */
  struct complete hosts;
  stralloc instructions;
  stralloc addr;
  struct cdbwrite *w; /* what is written, where that is a cdb */
};

static char const *line_number(struct source const *s)
{
  static char number[SIZE_FMT];
  number[size_fmt(number, s->number)] = 0;
  return number;
}

static void bad(struct source *s, char const *why) __attribute__((noreturn));
static void bad(struct source *s, char const *why)
{
  if (s->w) cdbwrite_abandon(s->w);
  strerr_dief(EXIT_TEMPORARY, s->path, " line ", line_number(s), ": ", why);
}

static void load_hosts(struct source *s)
{
  char const *why;
  int r = complete_load(&s->hosts, &why);
  if (r) strerr_dief(r, why);
}

static void instruct(struct source *s, char const *kind, char const *text, char const *end)
{
  stralloc *out = &s->instructions;
  helper_add(out, kind, strlen(kind));
  helper_add(out, text, strlen(text));
  helper_add_string(out, end);
}

static char const *on_item(void *data, enum maillist_kind kind, char const *text, size_t len,
                           int hasdomain)
{
  struct source *s = data;
  (void)hasdomain;
  switch (kind) {
  case MAILLIST_FILE: return "deliveries to files are not supported; a dot-qmail file can have one";
  case MAILLIST_PROGRAM:
    if (!s->w) return "programs are not supported here; a dot-qmail file can have one";
    instruct(s, "!", text, "");
    return 0;
  case MAILLIST_INCLUDE: instruct(s, strchr("./", *text) ? "" : "./", text, ".bin"); return 0;
  case MAILLIST_ADDRESS: break;
  }
  s->addr.len = 0;
  helper_add(&s->addr, text, len);
  if (!complete_address(&s->hosts, &s->addr)) helper_nomem();
  if (s->addr.len > ALIASES_ADDRESS_MAX) return "an address of over 800 bytes";
  helper_add(&s->addr, "", 1);
  instruct(s, "&", s->addr.s, "");
  return 0;
}

static void add_record(struct source *s, char kind, char const *target, size_t len,
                       stralloc const *value)
{
  stralloc key = STRALLOC_ZERO;
  helper_add(&key, &kind, 1);
  helper_add(&key, target, len);
  case_lowerb(key.s, key.len);
  int there = cdbwrite_has(s->w, key.s, key.len);
  if (there == -1 || (!there && !cdbwrite_add(s->w, key.s, key.len, value->s, value->len)))
    strerr_diefusys(EXIT_TEMPORARY, "write the cdb of ", s->path);
  if (there)
    strerr_warnw(s->path, " line ", line_number(s),
                 ": an alias that was there before; the first one counts");
  stralloc_free(&key);
}

/* "owner-list" also says where the bounces of "list" go. */
static void add_alias(struct source *s, stralloc *target, int hasdomain)
{
  static char const owner[] = "owner-";
  size_t const n = sizeof owner - 1;
  s->addr.len = 0;
  helper_add(&s->addr, target->s, target->len);
  if (!complete_address(&s->hosts, &s->addr)) helper_nomem();
  if (!hasdomain) helper_add(target, "@", 1);
  if (target->len > n && !case_diffb(target->s, n, owner))
    add_record(s, ALIASES_OWNER, target->s + n, target->len - n, &s->addr);
  add_record(s, ALIASES_INSTRUCTIONS, target->s, target->len, &s->instructions);
}

static void alias(struct source *s, char const *line, size_t len)
{
  stralloc target = STRALLOC_ZERO;
  int hasdomain = 0;
  size_t colon = maillist_colon(line, len);
  if (colon == len) bad(s, "no colon");
  s->instructions.len = 0;
  char const *why = maillist_target(line, colon, &target, &hasdomain);
  if (!why) why = maillist_parse(line + colon + 1, len - colon - 1, on_item, s);
  if (!why && !s->instructions.len) why = "nothing behind the colon";
  if (why) bad(s, why);
  add_alias(s, &target, hasdomain);
  stralloc_free(&target);
}

/* The end of the line at <pos>, with the newline. */
static size_t line_end(char const *s, size_t len, size_t pos)
{
  char const *newline = memchr(s + pos, '\n', len - pos);
  return newline ? (size_t)(newline - s) + 1 : len;
}

/* Does the line at <pos> belong to the one before: does it begin with a blank, or is it empty? */
static int goes_on(char const *s, size_t len, size_t pos)
{
  return pos < len && strchr(" \t\n", s[pos]) && s[pos];
}

/* Is it neither a comment nor empty? */
static int says_something(char const *s, size_t len)
{
  size_t i = 0;
  while (i < len && s[i] && strchr(" \t\r\n", s[i])) i++;
  return *s != '#' && i < len;
}

/* The file of aliases where none is named. */
static char const *default_file(void)
{
  static stralloc file = STRALLOC_ZERO;
  int r = control_line("aliasfile", &file);
  if (r == 1 && *file.s != '/') r = control_bad("aliasfile", "write the path of a file, from the root");
  if (r == -1) strerr_dief(EXIT_TEMPORARY, control_why());
  return r ? file.s : ALIASES;
}

static void read_source(struct source *s, char const *path, stralloc *text)
{
  s->path = path;
  load_hosts(s);
  if (!helper_slurp(path, text, FILE_MAX, 0)) strerr_diefusys(EXIT_TEMPORARY, "open ", path);
  if (!text->s) helper_add(text, "", 0);
}

int newaliases_main(int argc, char const *const *argv)
{
  struct source s = {.hosts = COMPLETE_ZERO};
  stralloc text = STRALLOC_ZERO, cdb = STRALLOC_ZERO;
  if (argc > 3 || (argc > 1 && *argv[1] == '-'))
    strerr_dieusage(EXIT_PERMANENT, "newaliases [aliases [cdb]]");
  read_source(&s, argc > 1 ? argv[1] : default_file(), &text);
  helper_add(&cdb, argc > 2 ? argv[2] : s.path, strlen(argc > 2 ? argv[2] : s.path));
  helper_add_string(&cdb, argc > 2 ? "" : ".cdb");
  if (!cdbwrite_begin(&s.w, AT_FDCWD, cdb.s)) strerr_diefusys(EXIT_TEMPORARY, "create ", cdb.s);
  size_t lines = 0;
  for (size_t pos = 0, end; pos < text.len; pos = end) {
    s.number = ++lines;
    end = line_end(text.s, text.len, pos);
    for (; goes_on(text.s, text.len, end); lines++) end = line_end(text.s, text.len, end);
    if (says_something(text.s + pos, end - pos)) alias(&s, text.s + pos, end - pos);
  }
  if (!cdbwrite_commit(s.w)) strerr_diefusys(EXIT_TEMPORARY, "write ", cdb.s);
  return 0;
}

int newinclude_main(int argc, char const *const *argv)
{
  struct source s = {.hosts = COMPLETE_ZERO};
  stralloc text = STRALLOC_ZERO, bin = STRALLOC_ZERO, tmp = STRALLOC_ZERO;
  if (argc != 2) strerr_dieusage(EXIT_PERMANENT, "newinclude list");
  read_source(&s, argv[1], &text);
  helper_add(&bin, argv[1], strlen(argv[1]));
  helper_add_string(&bin, ".bin");
  helper_add(&tmp, argv[1], strlen(argv[1]));
  helper_add_string(&tmp, ".tmp");
  for (size_t pos = 0, end; pos < text.len; pos = end) {
    s.number++;
    end = line_end(text.s, text.len, pos);
    char const *why = text.s[pos] == '#' ? 0 : maillist_parse(text.s + pos, end - pos, on_item, &s);
    if (why) bad(&s, why);
  }
  helper_replace(bin.s, tmp.s, &s.instructions, 0644);
  return 0;
}
