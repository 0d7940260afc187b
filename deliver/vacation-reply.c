/* vacation-reply.c - the answer itself; see vacation.h */

#include <string.h>

#include "addrlist.h"
#include "helper.h"
#include "mailhead.h"
#include "vacation.h"
#include "word.h"

#define SUBJECT_MAX 800 /* bytes of the original subject that are quoted */

static void add(stralloc *out, char const *s)
{
  helper_add(out, s, strlen(s));
}

/* The subject of the message as one line. Words that RFC 2047 encoded stay as they are. */
static void original_subject(struct mailhead const *m, stralloc *out)
{
  struct header_field f;
  for (size_t pos = 0; header_next(m->text.s, m->text.len, &pos, &f);)
    if (word_is(f.s, f.namelen, "Subject")) {
      out->len = 0;
      mailhead_add_value(out, f.s + f.value, f.len - f.value, SUBJECT_MAX);
    }
}

/* The value that stands for what s[0..len) begins with, or NULL; <*used> is its length. */
static char const *variable(struct vacation const *v, char const *s, size_t len,
                            char const *subject, size_t *used)
{
  static char const name[] = "$SUBJECT";
  *used = 2;
  if (!v->percent) {
    *used = sizeof name - 1;
    return len >= *used && !memcmp(s, name, *used) ? subject : 0;
  }
  if (len < 2 || *s != '%') return 0;
  switch (s[1]) {
  case 'S': return subject;
  case 's': return v->sender;
  case 'r': return v->address.s;
  case '%': return "%";
  default: return 0;
  }
}

/* Append <s> with its variables replaced. */
static void expand(struct vacation const *v, char const *s, size_t len, char const *subject,
                   stralloc *out)
{
  for (size_t i = 0, used; i < len; i += used) {
    char const *value = variable(v, s + i, len - i, subject, &used);
    if (value) {
      add(out, value);
    } else {
      helper_add(out, s + i, 1);
      used = 1;
    }
  }
}

/* A field of the text that is ours to write. */
static int is_ours(struct header_field const *f)
{
  static char const *const names[] = {"Auto-Submitted", "In-Reply-To", "References"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (word_is(f->s, f->namelen, names[i])) return 1;
  switch (f->name) {
  case HEADER_OTHER:
  case HEADER_FROM:
  case HEADER_REPLY_TO:
  case HEADER_SENDER: return 0;
  default: return 1;
  }
}

/* How much of the text is a header: it has From, Subject or Content-Type, and an empty line ends
 * it. */
static size_t header_of(stralloc const *text, size_t *body)
{
  struct header h = HEADER_ZERO(VACATION_TEXT_MAX);
  struct header_field f;
  int known = 0;
  ssize_t used = header_feed(&h, text->s, text->len);
  size_t len = used == -1 || !h.ended || !h.empty ? 0 : h.len;
  for (size_t pos = 0; header_next(h.text.s, len, &pos, &f);)
    known |= f.name == HEADER_FROM || word_is(f.s, f.namelen, "Subject") ||
             word_is(f.s, f.namelen, "Content-Type");
  stralloc_free(&h.text);
  *body = known ? (size_t)used : 0;
  return known ? len : 0;
}

static int has_8bit(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)s[i] > 126) return 1;
  return 0;
}

static void add_address(stralloc *out, char const *name, char const *address)
{
  add(out, name);
  if (!addrlist_quote(out, address, strlen(address))) helper_nomem();
  add(out, ">\n");
}

struct seen {
  int from, subject, type;
};

/* Append the fields of the text, as far as they are its to say. */
static void own_fields(struct vacation const *v, char const *s, size_t len, char const *subject,
                       stralloc *out, struct seen *seen)
{
  struct header_field f;
  for (size_t pos = 0; header_next(s, len, &pos, &f);) {
    int is_subject = word_is(f.s, f.namelen, "Subject");
    if (is_ours(&f) || (is_subject && v->subject)) continue;
    if (f.name == HEADER_FROM) seen->from = 1;
    if (is_subject) seen->subject = 1;
    if (word_is(f.s, f.namelen, "Content-Type")) seen->type = 1;
    helper_add(out, f.s, f.value);
    expand(v, f.s + f.value, f.len - f.value, subject, out);
  }
}

static void add_subject(struct vacation const *v, char const *subject, stralloc *out)
{
  stralloc value = STRALLOC_ZERO;
  struct vacation how = *v;
  how.percent = 1;
  if (v->subject)
    expand(&how, v->subject, strlen(v->subject), subject, &value);
  else {
    add(&value, "Auto: ");
    add(&value, *subject ? subject : "your message");
  }
  add(out, "Subject: ");
  mailhead_add_value(out, value.s ? value.s : "", value.len, SUBJECT_MAX + 100);
  add(out, "\n");
  stralloc_free(&value);
}

static void without_cr(stralloc *text)
{
  size_t n = 0;
  for (size_t i = 0; i < text->len; i++)
    if (text->s[i] != '\r' || i + 1 == text->len || text->s[i + 1] != '\n')
      text->s[n++] = text->s[i];
  text->len = n;
}

void vacation_compose(struct vacation const *v, struct mailhead const *m, stralloc *text,
                      stralloc *reply)
{
  stralloc subject = STRALLOC_ZERO;
  struct seen seen = {0};
  size_t body;
  without_cr(text);
  original_subject(m, &subject);
  helper_add(&subject, "", 1);
  size_t len = header_of(text, &body);
  own_fields(v, text->s, len, subject.s, reply, &seen);
  if (!seen.from) add_address(reply, "From: <", v->address.s);
  add_address(reply, "To: <", v->sender);
  if (!seen.subject) add_subject(v, subject.s, reply);
  mailhead_add_references(reply, m);
  add(reply, "Auto-Submitted: auto-replied\nX-Auto-Response-Suppress: All\n");
  stralloc expanded = STRALLOC_ZERO;
  expand(v, text->s + body, text->len - body, subject.s, &expanded);
  if (!seen.type && has_8bit(expanded.s, expanded.len))
    add(reply, "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
               "Content-Transfer-Encoding: 8bit\n");
  add(reply, "\n");
  helper_add(reply, expanded.s, expanded.len);
  stralloc_free(&expanded);
  stralloc_free(&subject);
}
