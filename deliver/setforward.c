/* setforward.c - setforward, setmaillist: make what fastforward reads of its own languages
 *
 * usage: setforward cdb tmp <instructions
 *        setmaillist bin tmp <list
 *
 * Instructions are "target: command, command;": a command is an address (with or
 * without '&'), ?owner, |program, !program or /list. A backslash takes its meaning from what
 * follows it; '#' begins a comment; other blanks and line ends mean nothing. A list
 * has an address or a /list in each line. The database is written beside its place, whatever
 * <tmp> is.
 *
 * exit: 0 written, 100 wrong usage or input, 111 try later. The old file stays unless it is 0.
 */

#include <fcntl.h>
#include <string.h>

#include <skalibs/buffer.h>
#include <skalibs/bytestr.h>
#include <skalibs/djbunix.h>
#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "aliases.h"
#include "cdbwrite.h"
#include "helper.h"
#include "program.h"

struct table {
  struct cdbwrite *w;
  int colon; /* the target is complete */
  stralloc target, command, instructions;
};

static void refuse(struct table *t, char const *why) __attribute__((noreturn));
static void refuse(struct table *t, char const *why)
{
  if (t->w) cdbwrite_abandon(t->w);
  strerr_dief(EXIT_PERMANENT, why);
}

static void add_record(struct table *t, char kind, char const *value, size_t len)
{
  stralloc key = STRALLOC_ZERO;
  helper_add(&key, &kind, 1);
  helper_add(&key, t->target.s, t->target.len);
  case_lowerb(key.s, key.len);
  if (!cdbwrite_add(t->w, key.s, key.len, value, len))
    strerr_diefusys(EXIT_TEMPORARY, "write the database");
  stralloc_free(&key);
}

/* Append a command as the database has it: an address with '&'. */
static void add_command(stralloc *out, char const *s, size_t len)
{
  if (!strchr("&|!./", *s)) helper_add(out, "&", 1);
  helper_add(out, s, len);
  helper_add(out, "", 1);
}

static int is_long_address(char const *s, size_t len)
{
  return len > ALIASES_ADDRESS_MAX && !strchr("|!./", *s);
}

static void end_command(struct table *t)
{
  char const *s = t->command.s;
  size_t len = t->command.len;
  if (!t->colon) refuse(t, "a comma or semicolon before the colon");
  if (!len) return;
  t->command.len = 0;
  if (*s == '?') return add_record(t, ALIASES_OWNER, s + 1, len - 1);
  if (is_long_address(s, len)) refuse(t, "an address of over 800 bytes");
  add_command(&t->instructions, s, len);
}

static void end_instruction(struct table *t)
{
  if (t->instructions.len)
    add_record(t, ALIASES_INSTRUCTIONS, t->instructions.s, t->instructions.len);
  t->target.len = t->instructions.len = 0;
  t->colon = 0;
}

static void take(struct table *t, char c)
{
  if (!c) refuse(t, "a zero byte");
  helper_add(t->colon ? &t->command : &t->target, &c, 1);
}

static void colon(struct table *t)
{
  if (t->colon) refuse(t, "a second colon in one instruction: put a backslash before it");
  t->colon = 1;
}

static void read_table(struct table *t, char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++) switch (s[i]) {
    case '#':
      while (i < len && s[i] != '\n') i++;
      break;
    case ' ':
    case '\t':
    case '\n': break;
    case ':': colon(t); break;
    case ',': end_command(t); break;
    case ';':
      end_command(t);
      end_instruction(t);
      break;
    case '\\':
      if (++i < len) take(t, s[i]);
      break;
    default: take(t, s[i]);
    }
  if (t->colon || t->target.len) refuse(t, "the last instruction does not end with a semicolon");
}

static void read_input(stralloc *text)
{
  if (!slurp(text, 0)) strerr_diefusys(EXIT_TEMPORARY, "read standard input");
  if (!text->s) helper_add(text, "", 0);
}

int setforward_main(int argc, char const *const *argv)
{
  struct table t = {.w = 0};
  stralloc text = STRALLOC_ZERO;
  if (argc != 3) strerr_dieusage(EXIT_PERMANENT, "setforward cdb tmp <instructions");
  read_input(&text);
  if (!cdbwrite_begin(&t.w, AT_FDCWD, argv[1])) strerr_diefusys(EXIT_TEMPORARY, "create ", argv[1]);
  read_table(&t, text.s, text.len);
  if (!cdbwrite_commit(t.w)) strerr_diefusys(EXIT_TEMPORARY, "write ", argv[1]);
  return 0;
}

static void add_line(stralloc *list, char const *s, size_t len)
{
  while (len && strchr(" \t", s[len - 1]) && s[len - 1]) len--;
  if (!len || *s == '#') return;
  if (memchr(s, 0, len)) strerr_dief(EXIT_PERMANENT, "a zero byte");
  if (*s == '|' || *s == '!') strerr_dief(EXIT_PERMANENT, "programs are not supported in a list");
  if (is_long_address(s, len)) strerr_dief(EXIT_PERMANENT, "an address of over 800 bytes");
  add_command(list, s, len);
}

int setmaillist_main(int argc, char const *const *argv)
{
  stralloc text = STRALLOC_ZERO, list = STRALLOC_ZERO;
  if (argc != 3) strerr_dieusage(EXIT_PERMANENT, "setmaillist bin tmp <list");
  read_input(&text);
  for (size_t pos = 0; pos < text.len;) {
    char const *newline = memchr(text.s + pos, '\n', text.len - pos);
    size_t len = newline ? (size_t)(newline - text.s) - pos : text.len - pos;
    add_line(&list, text.s + pos, len);
    pos += len + 1;
  }
  helper_replace(argv[1], argv[2], &list, 0644);
  return 0;
}
