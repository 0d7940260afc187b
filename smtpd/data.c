/* data.c - the state machine of DATA; see data.h
 *
 * Whole lines are found with memchr and handed on with one call each; only what
 * stands at the edges (dots, CRs, the ends of a buffer) goes through step().
 */

#include <string.h>
#include <strings.h>

#include "data.h"

static char const received[] = "Received:";
static char const delivered[] = "Delivered-To:";

void data_start(struct data *d, int mend, void (*put)(void *, char const *, size_t), void *arg)
{
  memset(d, 0, sizeof *d);
  d->mend = mend;
  d->in_header = 1;
  d->put = put;
  d->arg = arg;
}

int data_is_bad(struct data const *d)
{
  return d->nul || (!d->mend && (d->bare_lf || d->bare_cr));
}

static int begins(struct data const *d, char const *name, size_t len)
{
  return d->column >= len && !strncasecmp(d->field, name, len);
}

static void count_hops(struct data *d, char const *text, size_t len)
{
  if (d->column < DATA_FIELD_MAX) {
    size_t n = DATA_FIELD_MAX - d->column < len ? DATA_FIELD_MAX - d->column : len;
    memcpy(d->field + d->column, text, n);
  }
  d->column += len;
}

static void end_of_header_line(struct data *d)
{
  if (!d->column) d->in_header = 0;
  if (begins(d, received, sizeof received - 1) || begins(d, delivered, sizeof delivered - 1))
    d->hops++;
  d->column = 0;
}

/* Hand on text[0..len), which holds no line end but perhaps one LF at its end. */
static void emit(struct data *d, char const *text, size_t len, int line_end)
{
  if (d->in_header) {
    count_hops(d, text, len - (size_t)line_end);
    if (line_end) end_of_header_line(d);
  }
  d->octets += len + (size_t)line_end;
  if (!data_is_bad(d)) d->put(d->arg, text, len);
}

static void bad(struct data *d, uint64_t *what, uint64_t offset)
{
  if (!d->bare_lf && !d->bare_cr && !d->nul) d->first_bad = offset;
  (*what)++;
}

/* The CR at <offset> was not followed by LF. Before another CR it is only dropped when mended. */
static void bare_cr(struct data *d, uint64_t offset, char next)
{
  bad(d, &d->bare_cr, offset);
  d->state = DATA_TEXT;
  if (next == '\r') return;
  emit(d, "\n", 1, 1);
  d->state = DATA_MENDED;
}

/* One byte, in a state that is neither DATA_END nor holds back a byte. */
static void plain(struct data *d, char c, uint64_t offset)
{
  if (c == '\r') {
    d->state = DATA_CR;
  } else if (c == '\n') {
    bad(d, &d->bare_lf, offset);
    emit(d, "\n", 1, 1);
    d->state = DATA_MENDED;
  } else if (c == '.' && d->state == DATA_LINE_START) {
    d->state = DATA_DOT;
  } else if (c == '.' && d->state == DATA_MENDED) {
    d->state = DATA_TEXT;
  } else {
    if (!c) bad(d, &d->nul, offset);
    emit(d, &c, 1, 0);
    d->state = DATA_TEXT;
  }
}

static void step(struct data *d, char c, uint64_t offset)
{
  if (d->state == DATA_CR || d->state == DATA_DOT_CR) {
    if (c != '\n') {
      bare_cr(d, offset - 1, c);
      plain(d, c, offset);
    } else if (d->state == DATA_DOT_CR) {
      d->state = DATA_END;
    } else {
      emit(d, "\n", 1, 1);
      d->state = DATA_LINE_START;
    }
  } else if (d->state == DATA_DOT) {
    d->state = DATA_TEXT;
    if (c == '\r') d->state = DATA_DOT_CR;
    else plain(d, c, offset);
  } else {
    plain(d, c, offset);
  }
}

/* Take as many whole, clean lines as there are at s[0..len), a buffer without
 * NUL; the bytes used. */
static size_t whole_lines(struct data *d, char *s, size_t len)
{
  size_t pos = 0;
  while (pos < len && s[pos] != '.') {
    char *line = s + pos;
    char *lf = memchr(line, '\n', len - pos);
    if (!lf || lf == line || lf[-1] != '\r') break;
    size_t n = (size_t)(lf - line);
    if (memchr(line, '\r', n - 1)) break;
    line[n - 1] = '\n';
    emit(d, line, n, 1);
    pos += n + 1;
  }
  return pos;
}

/* Take the bytes of s[0..len) before the first that is not ordinary text. */
static size_t ordinary(struct data *d, char const *s, size_t len)
{
  char const *end;
  if (!len || !*s || *s == '\r' || *s == '\n') return 0; /* without a search through the rest */
  if ((end = memchr(s, '\n', len))) len = (size_t)(end - s);
  if ((end = memchr(s, '\r', len))) len = (size_t)(end - s);
  if ((end = memchr(s, 0, len))) len = (size_t)(end - s);
  if (len) emit(d, s, len, 0);
  return len;
}

size_t data_feed(struct data *d, char *s, size_t len)
{
  size_t pos = 0;
  int clean = !memchr(s, 0, len);
  while (pos < len && d->state != DATA_END) {
    size_t n = 0;
    if (d->state == DATA_LINE_START && clean) n = whole_lines(d, s + pos, len - pos);
    else if (d->state == DATA_TEXT) n = ordinary(d, s + pos, len - pos);
    pos += n;
    if (pos == len) break;
    step(d, s[pos], d->seen + pos);
    pos++;
  }
  d->seen += pos;
  return pos;
}
