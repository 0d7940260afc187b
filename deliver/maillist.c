/* maillist.c - lists of recipients as sendmail has them; see maillist.h */

#include <string.h>
#include <strings.h>

#include "address.h"
#include "addrlist.h"
#include "aliases.h"
#include "maillist.h"

static char const include[] = ":include:";
#define INCLUDE_LEN (sizeof include - 1)

static char const nomem[] = "out of memory";
static char const unquoted[] =
    "a program or file name with blanks or commas stands in double quotes, "
    "with its | or /";

struct walk {
  maillist_func *func;
  void *data;
  char const *why;
  int special;  /* the element begins with '|' or '/', unquoted */
  size_t count; /* addresses of the element so far */
  stralloc text;
};

static int is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The end of what opens at s[i] and is closed by <close>, nested where <open> is not 0; <len> when
 * it does not end. */
static size_t skip(char const *s, size_t len, size_t i, char open, char close)
{
  size_t depth = 1;
  while (++i < len) {
    if (s[i] == '\\')
      i++;
    else if (s[i] == close && !--depth)
      return i + 1;
    else if (open && s[i] == open)
      depth++;
  }
  return len;
}

/* The offset of the first of <stops> from <i> on, outside of quotes, comments and brackets. */
static size_t find(char const *s, size_t len, size_t i, char const *stops)
{
  while (i < len) {
    if (s[i] && strchr(stops, s[i])) return i;
    switch (s[i]) {
    case '\\': i += 2; break;
    case '"': i = skip(s, len, i, 0, '"'); break;
    case '(': i = skip(s, len, i, '(', ')'); break;
    case '[': i = skip(s, len, i, 0, ']'); break;
    case '<': i = skip(s, len, i, 0, '>'); break;
    default: i++;
    }
  }
  return len;
}

size_t maillist_colon(char const *s, size_t len)
{
  return find(s, len, 0, ":");
}

/* Give the text with a NUL behind it; one that is not a word of its own is none. */
static int give(struct walk *w, enum maillist_kind kind, char const *s, size_t len, int hasdomain)
{
  w->text.len = 0;
  if (!len)
    w->why = "an empty address, program or file name";
  else if (!address_is_clean(s, len))
    w->why = "a control character";
  else if (kind == MAILLIST_ADDRESS && len > ALIASES_ADDRESS_MAX)
    w->why = "an address of over 800 bytes";
  else if (!stralloc_catb(&w->text, s, len) || !stralloc_append(&w->text, 0))
    w->why = nomem;
  else
    w->why = w->func(w->data, kind, w->text.s, len, hasdomain);
  return !w->why;
}

static int on_address(void *data, struct addrlist_addr const *a)
{
  struct walk *w = data;
  int hasdomain = a->at < a->len;
  if (w->count++ && w->special) return (w->why = unquoted, 0);
  if (!hasdomain && a->len && *a->s == '|')
    return give(w, MAILLIST_PROGRAM, a->s + 1, a->len - 1, 0);
  if (!hasdomain && a->len && *a->s == '/') return give(w, MAILLIST_FILE, a->s, a->len, 0);
  if (!hasdomain && a->len > INCLUDE_LEN && !strncasecmp(a->s, include, INCLUDE_LEN))
    return give(w, MAILLIST_INCLUDE, a->s + INCLUDE_LEN, a->len - INCLUDE_LEN, 0);
  return give(w, MAILLIST_ADDRESS, a->s, a->len, hasdomain);
}

/* Take the quotes off s[0..len), if it is one quoted string and nothing else. */
static int unquote(struct walk *w, enum maillist_kind kind, char const *s, size_t len)
{
  stralloc word = STRALLOC_ZERO;
  while (len && is_blank(*s)) s++, len--;
  if (!len || *s != '"') return give(w, kind, s, len, 0);
  size_t end = skip(s, len, 0, 0, '"');
  if (end < len || len < 2 || s[len - 1] != '"') return (w->why = unquoted, 0);
  for (size_t i = 1; i < len - 1; i++) {
    if (s[i] == '\\' && i + 1 < len - 1) i++;
    if (!stralloc_append(&word, s[i])) w->why = nomem;
  }
  int ok = !w->why && give(w, kind, word.s ? word.s : "", word.len, 0);
  stralloc_free(&word);
  return ok;
}

/* What stands between two commas, without blanks around it. */
static int element(struct walk *w, char const *s, size_t len)
{
  w->special = *s == '|' || *s == '/';
  w->count = 0;
  if (len >= INCLUDE_LEN && !strncasecmp(s, include, INCLUDE_LEN))
    return unquote(w, MAILLIST_INCLUDE, s + INCLUDE_LEN, len - INCLUDE_LEN);
  if (len > 1 && s[0] == '|' && s[1] == '"') return unquote(w, MAILLIST_PROGRAM, s + 1, len - 1);
  if (find(s, len, 0, ":;") < len)
    return (w->why = "a colon or semicolon: groups of addresses are not supported", 0);
  int r = addrlist_parse(s, len, on_address, w);
  if (!w->why && r == 0) w->why = "an address that cannot be understood";
  if (!w->why && r == -1) w->why = nomem;
  return !w->why;
}

char const *maillist_parse(char const *s, size_t len, maillist_func *f, void *data)
{
  struct walk w = {.func = f, .data = data, .text = STRALLOC_ZERO};
  for (size_t pos = 0; pos < len && !w.why;) {
    size_t end = find(s, len, pos, ",");
    size_t next = end < len ? end + 1 : len;
    while (pos < end && is_blank(s[pos])) pos++;
    while (end > pos && is_blank(s[end - 1])) end--;
    if (end > pos) element(&w, s + pos, end - pos);
    pos = next;
  }
  stralloc_free(&w.text);
  return w.why;
}

struct one {
  stralloc *target;
  int *hasdomain;
  size_t count;
};

static char const *take_one(void *data, enum maillist_kind kind, char const *text, size_t len,
                            int hasdomain)
{
  struct one *o = data;
  if (o->count++ || kind != MAILLIST_ADDRESS)
    return "something that is not one address before the colon";
  *o->hasdomain = hasdomain;
  return stralloc_copyb(o->target, text, len) ? 0 : nomem;
}

char const *maillist_target(char const *s, size_t len, stralloc *target, int *hasdomain)
{
  struct one o = {.target = target, .hasdomain = hasdomain};
  stralloc text = STRALLOC_ZERO;
  size_t at = find(s, len, 0, "@");
  int all = 1; /* nothing but comments stands before the '@' */
  for (size_t i = 0; i < at && all;) {
    if (s[i] == '(')
      i = skip(s, len, i, '(', ')');
    else
      all = is_blank(s[i++]);
  }
  all &= at < len;
  if (!stralloc_cats(&text, all ? "x" : "") ||
      !stralloc_catb(&text, s + (all ? at : 0), len - (all ? at : 0)))
    return nomem;
  char const *why = maillist_parse(text.s, text.len, take_one, &o);
  if (!why && (!o.count || (all && !*hasdomain))) why = "no address before the colon";
  if (!why && all) {
    target->len--;
    memmove(target->s, target->s + 1, target->len);
  }
  stralloc_free(&text);
  return why;
}
