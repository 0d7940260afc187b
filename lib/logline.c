/* logline.c - build and write log lines; see logline.h */

#include <string.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/types.h>
#include <skalibs/uint64.h>

#include "logline.h"

static void append(struct logline *l, char const *s, size_t len)
{
  size_t room = LOGLINE_MAX - 1 - l->len;
  if (len > room) len = room;
  memcpy(l->s + l->len, s, len);
  l->len += len;
}

void logline_text(struct logline *l, char const *text)
{
  append(l, text, strlen(text));
}

void logline_safe(struct logline *l, char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    char c = s[i];
    if (c == '\n') c = '/';
    else if (c < 33 || c > 126 || c == '%') c = '_';
    append(l, &c, 1);
  }
}

void logline_number(struct logline *l, uint64_t n)
{
  char fmt[UINT64_FMT];
  append(l, fmt, uint64_fmt(fmt, n));
}

static int is_bare(char const *s, size_t len)
{
  if (!len) return 0;
  for (size_t i = 0; i < len; i++)
    if (s[i] < 33 || s[i] > 126 || s[i] == '"' || s[i] == '\\' || s[i] == '=') return 0;
  return 1;
}

static void append_quoted(struct logline *l, char const *s, size_t len)
{
  static char const hex[] = "0123456789abcdef";
  append(l, "\"", 1);
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)s[i];
    char esc[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };
    if (c == '"' || c == '\\') {
      esc[1] = s[i];
      append(l, esc, 2);
    } else if (c < 32 || c > 126) {
      append(l, esc, 4);
    } else {
      append(l, s + i, 1);
    }
  }
  append(l, "\"", 1);
}

void logline_keyb(struct logline *l, char const *key, char const *value, size_t len)
{
  char cut[LOGLINE_VALUE + 3];
  if (len > LOGLINE_VALUE) {
    memcpy(cut, value, LOGLINE_VALUE);
    memcpy(cut + LOGLINE_VALUE, "...", 3);
    value = cut;
    len = sizeof cut;
  }
  append(l, " ", 1);
  logline_text(l, key);
  append(l, "=", 1);
  if (is_bare(value, len)) append(l, value, len);
  else append_quoted(l, value, len);
}

void logline_key(struct logline *l, char const *key, char const *value)
{
  logline_keyb(l, key, value, strlen(value));
}

void logline_keyn(struct logline *l, char const *key, uint64_t n)
{
  char fmt[UINT64_FMT];
  logline_keyb(l, key, fmt, uint64_fmt(fmt, n));
}

void logline_write(struct logline *l)
{
  l->s[l->len++] = '\n';
  allwrite(2, l->s, l->len);
  l->len = 0;
}
