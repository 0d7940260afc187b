/* dsn.c - parameters of delivery status notifications; see dsn.h */

#include <string.h>
#include <strings.h>

#include "dsn.h"
#include "word.h"

static struct {
  char const *word;
  unsigned int bit;
} const words[] = {
  { "NEVER", DSN_NEVER },
  { "SUCCESS", DSN_SUCCESS },
  { "FAILURE", DSN_FAILURE },
  { "DELAY", DSN_DELAY },
};
#define WORDS (sizeof words / sizeof *words)

static unsigned int bit_of(char const *s, size_t len)
{
  for (size_t i = 0; i < WORDS; i++)
    if (word_is(s, len, words[i].word)) return words[i].bit;
  return 0;
}

unsigned int dsn_notify(char const *s, size_t len)
{
  unsigned int all = 0;
  for (size_t pos = 0, n; pos <= len; pos += n + 1) {
    char const *comma = pos < len ? memchr(s + pos, ',', len - pos) : 0;
    n = comma ? (size_t)(comma - s) - pos : len - pos;
    unsigned int bit = bit_of(s + pos, n);
    if (!bit) return 0;
    all |= bit;
  }
  return all & DSN_NEVER && all != DSN_NEVER ? 0 : all;
}

void dsn_notify_put(char out[DSN_NOTIFY_MAX], unsigned int notify)
{
  size_t n = 0;
  for (size_t i = 0; i < WORDS; i++) {
    if (!(notify & words[i].bit)) continue;
    if (n) out[n++] = ',';
    memcpy(out + n, words[i].word, strlen(words[i].word));
    n += strlen(words[i].word);
    if (words[i].bit == DSN_NEVER) break; /* it stands alone */
  }
  out[n] = 0;
}

enum dsn_ret dsn_ret(char const *s, size_t len)
{
  if (word_is(s, len, "FULL")) return DSN_RET_FULL;
  return word_is(s, len, "HDRS") ? DSN_RET_HDRS : DSN_RET_NONE;
}

static int is_printable(char c)
{
  return c >= 32 && c < 127;
}

static int is_xchar(char c)
{
  return c > 32 && c < 127 && c != '+' && c != '=';
}

static int hex_value(char c)
{
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int dsn_xtext_decode(stralloc *out, char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    char c = s[i];
    if (c == '+') {
      int high = len - i > 2 ? hex_value(s[i + 1]) : -1;
      int low = high >= 0 ? hex_value(s[i + 2]) : -1;
      if (low < 0) return 0;
      c = (char)(high << 4 | low);
      if (!is_printable(c)) return 0;
      i += 2;
    } else if (!is_xchar(c)) {
      return 0;
    }
    if (out && !stralloc_append(out, c)) return -1;
  }
  return 1;
}

int dsn_xtext_encode(stralloc *out, char const *s, size_t len)
{
  static char const digits[] = "0123456789ABCDEF";
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)s[i];
    char const hex[3] = { '+', digits[c >> 4], digits[c & 15] };
    if (!is_printable(s[i])) return 0;
    if (!(is_xchar(s[i]) ? stralloc_append(out, s[i]) : stralloc_catb(out, hex, sizeof hex)))
      return -1;
  }
  return 1;
}

int dsn_envid_ok(char const *s, size_t len)
{
  return len && len <= DSN_ENVID_MAX && dsn_xtext_decode(0, s, len);
}

/* An atom of RFC 822, as the types of addresses are. */
static int is_atom_char(char c)
{
  return c > 32 && c < 127 && !strchr("()<>@,;:\\\".[]", c);
}

size_t dsn_orcpt_type(char const *s, size_t len)
{
  size_t n = 0;
  if (len > DSN_ORCPT_MAX) return 0;
  while (n < len && is_atom_char(s[n])) n++;
  if (!n || n + 1 >= len || s[n] != ';') return 0;
  return dsn_xtext_decode(0, s + n + 1, len - n - 1) ? n : 0;
}

char const *dsn_find(char const *extras, size_t len, char const *name, size_t *valuelen)
{
  size_t n = strlen(name);
  for (size_t i = 0, size; i < len; i += size + 1) {
    size = strnlen(extras + i, len - i);
    if (size <= n || extras[i + n] != '=' || strncasecmp(extras + i, name, n)) continue;
    *valuelen = size - n - 1;
    return extras + i + n + 1;
  }
  return 0;
}

unsigned int dsn_find_notify(char const *extras, size_t len)
{
  size_t n;
  char const *s = dsn_find(extras, len, "NOTIFY", &n);
  return s ? dsn_notify(s, n) : 0;
}
