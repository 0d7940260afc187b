/* vacation-decide.c - which messages are never answered (RFC 3834, RFC 5230); see vacation.h */

#include <string.h>
#include <strings.h>

#include "address.h"
#include "addrlist.h"
#include "helper.h"
#include "vacation.h"
#include "word.h"

static int starts(char const *s, size_t len, char const *word)
{
  size_t n = strlen(word);
  return len >= n && !strncasecmp(s, word, n);
}

static int ends(char const *s, size_t len, char const *word)
{
  size_t n = strlen(word);
  return len >= n && !strncasecmp(s + len - n, word, n);
}

static int holds(char const *s, size_t len, char const *word)
{
  for (; len; s++, len--)
    if (starts(s, len, word)) return 1;
  return 0;
}

/* Is it an own address; unless <whole>, also by its local part alone? */
static int is_own(stralloc const *own, char const *s, size_t len, int whole)
{
  size_t at = address_at(s, len);
  for (size_t i = 0; i < own->len; i += strlen(own->s + i) + 1) {
    char const *o = own->s + i;
    if (word_is(s, whole || strchr(o, '@') ? len : at, o)) return 1;
  }
  return 0;
}

/* Local parts that are programs'. */
static int is_program(char const *s, size_t len)
{
  static char const *const names[] = {"mailer-daemon", "mailer",    "postmaster", "uucp",
                                      "listserv",      "majordomo", "mdaemon"};
  static char const *const prefixes[] = {"owner-",       "noreply", "no-reply", "donotreply",
                                         "do-not-reply", "bounce-", "bounces-", "mailer-daemon"};
  static char const *const suffixes[] = {"-request", "-owner",   "-bounce", "-bounces",
                                         "-relay",   "-noreply", "-errors"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (word_is(s, len, names[i])) return 1;
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
    if (starts(s, len, prefixes[i])) return 1;
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
    if (ends(s, len, suffixes[i])) return 1;
  return holds(s, len, "-return-") || holds(s, len, "-bounces+");
}

/* Is s[0..len) a domain as DNS has them, or UTF-8, or an address in brackets? */
static int is_domain(char const *s, size_t len)
{
  int literal = len > 2 && s[0] == '[' && s[len - 1] == ']';
  if (literal) s++, len -= 2;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)s[i];
    int plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c >= 128;
    if (!plain && !strchr(literal ? ".-:" : ".-_", s[i])) return 0;
  }
  return len && s[len - 1] != '.';
}

char const *vacation_bad_sender(char const *sender, stralloc const *own)
{
  size_t len = strlen(sender);
  size_t at = address_at(sender, len);
  if (!len) return "it has no sender";
  if (at == len || !at || !is_domain(sender + at + 1, len - at - 1))
    return "its sender is no address";
  if (len > VACATION_SENDER_MAX) return "its sender's address is too long";
  if (!address_is_clean(sender, len)) return "a control character in its sender";
  if (is_program(sender, at)) return "its sender is a program";
  if (is_own(own, sender, len, 1)) return "it comes from an own address";
  return 0;
}

/* The first word of a value, without comments before it. */
static char const *first_word(char const *s, size_t len, size_t *n)
{
  size_t i = 0;
  while (i < len && (unsigned char)s[i] <= ' ') i++;
  size_t start = i;
  while (i < len && (unsigned char)s[i] > ' ' && s[i] != ';' && s[i] != '(' && s[i] != ',') i++;
  *n = i - start;
  return s + start;
}

static int value_is(struct header_field const *f, char const *word)
{
  size_t n;
  char const *s = first_word(f->s + f->value, f->len - f->value, &n);
  return word_is(s, n, word);
}

static int is_list_field(struct header_field const *f)
{
  static char const *const names[] = {"Mailing-List", "X-Mailing-List", "X-ML-Name",
                                      "X-List",       "X-Listname",     "X-BeenThere"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (word_is(f->s, f->namelen, names[i])) return 1;
  return f->namelen > 5 && starts(f->s, f->namelen, "List-");
}

static char const *bad_field(struct header_field const *f)
{
  char const *value = f->s + f->value;
  size_t len = f->len - f->value;
  if (is_list_field(f)) return "it comes from a mailing list";
  if (word_is(f->s, f->namelen, "Precedence"))
    return value_is(f, "bulk") || value_is(f, "junk") || value_is(f, "list") ? "it is bulk mail"
                                                                             : 0;
  if (word_is(f->s, f->namelen, "Auto-Submitted"))
    return value_is(f, "no") ? 0 : "it was written by a program";
  if (word_is(f->s, f->namelen, "X-Auto-Response-Suppress"))
    return holds(value, len, "oof") || holds(value, len, "autoreply") || holds(value, len, "all")
               ? "it asks for no answer"
               : 0;
  if (starts(f->s, f->namelen, "X-Autoreply") || starts(f->s, f->namelen, "X-Autorespon"))
    return "it is an automatic answer";
  if (word_is(f->s, f->namelen, "X-Spam-Flag") || word_is(f->s, f->namelen, "X-Spam-Status"))
    return value_is(f, "yes") ? "it is marked as spam" : 0;
  if (word_is(f->s, f->namelen, "Content-Type"))
    return value_is(f, "multipart/report") ? "it is a report" : 0;
  return 0;
}

static int on_address(void *data, struct addrlist_addr const *a)
{
  struct vacation *v = data;
  if (v->address.len || a->at == a->len || !is_own(&v->own, a->s, a->len, 0)) return 1;
  if (!address_is_clean(a->s, a->len)) return 1;
  helper_add(&v->address, a->s, a->len);
  helper_add(&v->address, "", 1);
  return 1;
}

static int has_recipients(enum header_name name)
{
  return name == HEADER_TO || name == HEADER_CC || name == HEADER_BCC || name == HEADER_RESENT_TO ||
         name == HEADER_RESENT_CC || name == HEADER_RESENT_BCC;
}

char const *vacation_bad_header(struct vacation *v, struct mailhead const *m)
{
  struct header_field f;
  v->address.len = 0;
  for (size_t pos = 0; header_next(m->text.s, m->text.len, &pos, &f);) {
    char const *why = bad_field(&f);
    if (why) return why;
    if (has_recipients(f.name)) addrlist_parse(f.s + f.value, f.len - f.value, on_address, v);
  }
  if (v->address.len) return 0;
  if (!v->any) return "it is not addressed to an own address";
  size_t i = 0;
  while (i < v->own.len && !strchr(v->own.s + i, '@')) i += strlen(v->own.s + i) + 1;
  if (i < v->own.len) helper_add_string(&v->address, v->own.s + i);
  return i < v->own.len ? 0 : "there is no own address to answer from";
}
