/* mailhead.c - the header of a message that is answered; see mailhead.h */

#include <errno.h>
#include <string.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/strerr.h>

#include "helper.h"
#include "mailhead.h"
#include "program.h"
#include "word.h"

/* The Message-ID at <*pos> of s[0..len) or after it, and move <*pos> behind it. Its length, 0 at
 * the end; <*start> is where it begins. No byte of one can end a line, or make it two words. */
static size_t next_id(char const *s, size_t len, size_t *pos, char const **start)
{
  for (size_t i = *pos; i < len; i++) {
    if (s[i] != '<') continue;
    size_t end = i + 1;
    while (end < len && (unsigned char)s[end] > ' ' && s[end] != 127 && s[end] != '<' &&
           s[end] != '>')
      end++;
    if (end == len || s[end] != '>' || end == i + 1) continue;
    *start = s + i;
    *pos = end + 1;
    return end + 1 - i;
  }
  return 0;
}

static void take_id(struct mailhead *m, char const *s, size_t len)
{
  char const *start;
  size_t pos = 0;
  size_t n = next_id(s, len, &pos, &start);
  m->id.len = 0;
  if (n && n <= MAILHEAD_REFERENCE) helper_add(&m->id, start, n);
}

/* The last ones count: a long thread loses its beginning. */
static void take_references(struct mailhead *m, char const *s, size_t len)
{
  char const *start;
  size_t n;
  m->references.len = 0;
  for (size_t pos = 0; (n = next_id(s, len, &pos, &start));) {
    if (n > MAILHEAD_REFERENCE) continue;
    if (m->references.len + n > MAILHEAD_THREAD) m->references.len = 0;
    helper_add(&m->references, start, n);
    helper_add(&m->references, "", 1);
  }
}

static void look(struct mailhead *m)
{
  struct header_field f;
  int found = 0;
  for (size_t pos = 0; header_next(m->text.s, m->text.len, &pos, &f);) {
    char const *value = f.s + f.value;
    size_t len = f.len - f.value;
    if (f.name == HEADER_MESSAGE_ID) take_id(m, value, len);
    if (word_is(f.s, f.namelen, "References")) {
      take_references(m, value, len);
      found = 1;
    }
    if (!found && word_is(f.s, f.namelen, "In-Reply-To")) take_references(m, value, len);
  }
}

void mailhead_set(struct mailhead *m, char const *s, size_t len)
{
  m->text.len = m->id.len = m->references.len = 0;
  helper_add(&m->text, s, len);
  look(m);
}

/* Feed the header; 0 when it is too long. */
static int feed(struct header *h)
{
  char buf[16384];
  ssize_t n;
  while (!h->ended && (n = fd_read(0, buf, sizeof buf)) != 0) {
    if (n == -1) strerr_diefusys(EXIT_TEMPORARY, "read the message");
    if (header_feed(h, buf, (size_t)n) == -1) return 0;
  }
  return header_finish(h);
}

int mailhead_read(struct mailhead *m)
{
  struct header h = HEADER_ZERO(MAILHEAD_MAX);
  int ok = feed(&h);
  if (!ok && errno != EMSGSIZE) helper_nomem();
  mailhead_set(m, h.text.s ? h.text.s : "", ok ? h.len : 0);
  stralloc_free(&h.text);
  return ok;
}

void mailhead_add_references(stralloc *out, struct mailhead const *m)
{
  if (!m->id.len) return;
  helper_add(out, "In-Reply-To: ", 13);
  helper_add(out, m->id.s, m->id.len);
  helper_add(out, "\nReferences:", 12);
  for (size_t i = 0; i < m->references.len; i += strlen(m->references.s + i) + 1) {
    helper_add(out, i ? "\n " : " ", i ? 2 : 1);
    helper_add(out, m->references.s + i, strlen(m->references.s + i));
  }
  helper_add(out, m->references.len ? "\n " : " ", m->references.len ? 2 : 1);
  helper_add(out, m->id.s, m->id.len);
  helper_add(out, "\n", 1);
}

static int is_blank(char c)
{
  return (unsigned char)c <= ' ' || c == 127;
}

void mailhead_add_value(stralloc *out, char const *s, size_t len, size_t max)
{
  while (len && is_blank(*s)) s++, len--;
  while (len && is_blank(s[len - 1])) len--;
  if (len > max) {
    len = max;
    while (len && ((unsigned char)s[len] & 0xc0) == 0x80) len--;
  }
  for (size_t i = 0; i < len; i++) helper_add(out, is_blank(s[i]) ? " " : s + i, 1);
}
