/* bounce.c - gather what a bounce is made of; see bounce.h. Its text is made in bounce_text.c. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounce.h"
#include "control.h"
#include "fileat.h"
#include "records.h"
#include "lines.h"
#include "route.h"
#include "state.h"

#define DOUBLE_SENDER "#@[]"
#define FAILURES_MIN  16

enum bounce_kind bounce_kind(char const *sender, size_t len)
{
  if (!len) return BOUNCE_DOUBLE;
  return len == sizeof DOUBLE_SENDER - 1 && !memcmp(sender, DOUBLE_SENDER, len) ? BOUNCE_TRIPLE
                                                                              : BOUNCE_SINGLE;
}

/* Set <sa> to the first line of a control file, or to <fallback>. */
static int read_name(stralloc *sa, char const *name, char const *fallback)
{
  int r = control_line(name, sa);
  return r == 1 || (!r && stralloc_copys(sa, fallback) && stralloc_0(sa));
}

static int read_names(struct bounce *b)
{
  stralloc host = STRALLOC_ZERO;
  int ok = read_name(&b->from, "bouncefrom", "MAILER-DAEMON") &&
           control_line_or_me("bouncehost", &b->host) == 1 &&
           read_name(&b->doubleto, "doublebounceto", "postmaster") &&
           control_line_or_me("doublebouncehost", &host) == 1;
  if (!ok && errno != ENOMEM) b->why = control_why();
  if (ok) {
    b->doubleto.len = strlen(b->doubleto.s);
    ok = stralloc_append(&b->doubleto, '@') && stralloc_cats(&b->doubleto, host.s) &&
         stralloc_0(&b->doubleto);
  }
  stralloc_free(&host);
  return ok;
}

static struct bounce_failure *new_failure(struct bounce *b)
{
  if (b->count == b->room) {
    size_t room = b->room ? b->room * 2 : FAILURES_MIN;
    struct bounce_failure *f = reallocarray(b->failures, room, sizeof *f);
    if (!f) return 0;
    b->failures = f;
    b->room = room;
  }
  return b->failures + b->count++;
}

/* Keep one failure. 1, or 0 with ENOMEM. */
static int add_failure(struct bounce *b, uint32_t index, char const *text, size_t len)
{
  struct bounce_failure *f = new_failure(b);
  if (!f) return 0;
  if (b->bytes.len > BOUNCE_TEXT_MAX && len > BOUNCE_SHORT) len = BOUNCE_SHORT;
  *f = (struct bounce_failure){ .index = index, .text = b->bytes.len, .textlen = len };
  return stralloc_catb(&b->bytes, text, len) && stralloc_0(&b->bytes);
}

static int read_failures(struct bounce *b, struct lines *l, struct qfile const *q)
{
  stralloc text = STRALLOC_ZERO;
  char const *s;
  size_t len;
  uint32_t index;
  int r = lines_open(l, l->fd, STATE_TITLE);
  if (r == 1 && memcmp(l->nonce, q->nonce, QFILE_NONCE)) r = 0;
  while (r == 1 && (r = lines_next(l, &s, &len)) == 1) {
    text.len = 0;
    int f = state_get_failed(s, len, &index, &text);
    if (f == -1 || (f == 1 && !add_failure(b, index, text.s, text.len))) r = -1;
  }
  stralloc_free(&text);
  return r != -1;
}

/* By index; the first of two for one recipient, which a repeated journal makes, counts. */
static int compare(void const *a, void const *b)
{
  struct bounce_failure const *x = a;
  struct bounce_failure const *y = b;
  if (x->index != y->index) return x->index < y->index ? -1 : 1;
  return x->text < y->text ? -1 : 1;
}

static void sort_failures(struct bounce *b)
{
  size_t n = 0;
  if (b->count) qsort(b->failures, b->count, sizeof *b->failures, compare);
  for (size_t i = 0; i < b->count; i++)
    if (!n || b->failures[i].index != b->failures[n - 1].index) b->failures[n++] = b->failures[i];
  b->count = n;
}

/* Read the sender, and the addresses of those that failed. */
static int read_envelope(struct bounce *b, struct records *e)
{
  char letter;
  char const *s;
  size_t len;
  uint32_t index = 0;
  size_t at = 0;
  int r;
  while ((r = records_next(e, &letter, &s, &len)) == 1) {
    if (letter == 'F' && (!stralloc_copyb(&b->sender, s, len) || !stralloc_0(&b->sender))) return 0;
    if (letter == 'F') b->sender.len--;
    if (letter != 'T') continue;
    if (at < b->count && b->failures[at].index == index) {
      b->failures[at++].addr = b->bytes.len;
      if (!stralloc_catb(&b->bytes, s, len) || !stralloc_0(&b->bytes)) return 0;
    }
    index++;
  }
  b->count = at;
  return r == 0;
}

/* The length of the header in s[0..len), with its last newline. */
static size_t header_length(char const *s, size_t len)
{
  char const *end = len && s[0] == '\n' ? s : memmem(s, len, "\n\n", 2);
  if (end) return (size_t)(end - s) + (end != s);
  while (len && s[len - 1] != '\n') len--;
  return len;
}

static int read_copy(struct bounce *b, int fd, struct qfile const *q)
{
  size_t want = q->msglen < BOUNCE_COPY_MAX ? (size_t)q->msglen : BOUNCE_COPY_MAX;
  b->header_only = q->msglen > BOUNCE_COPY_MAX;
  if (!stralloc_ready(&b->copy, want + 1)) return 0;
  ssize_t n = fileat_read(fd, b->copy.s, want, QFILE_HEADER);
  if (n == -1) return 0;
  if ((size_t)n < want) return (errno = EIO, 0);
  b->copy.len = want;
  if (b->header_only) b->copy.len = header_length(b->copy.s, b->copy.len);
  return !b->copy.len || b->copy.s[b->copy.len - 1] == '\n' || stralloc_append(&b->copy, '\n');
}

static int set_recipient(struct bounce *b)
{
  stralloc const *to = bounce_kind(b->sender.s, b->sender.len) == BOUNCE_DOUBLE ? &b->doubleto
                                                                               : &b->sender;
  size_t len = strlen(to->s);
  if (to == &b->sender && verp_is(to->s, len)) len -= sizeof "-@[]" - 1;
  return stralloc_copyb(&b->to, to->s, len) && stralloc_0(&b->to);
}

int bounce_gather(struct bounce *b, int fd, struct qfile const *q, int statefd)
{
  union {
    struct lines lines;
    struct records envelope;
  } *reader = malloc(sizeof *reader);
  if (!reader) return 0;
  b->arrival = (int64_t)(q->birth / 1000000);
  reader->lines.fd = statefd;
  int ok = read_names(b) && read_failures(b, &reader->lines, q);
  if (ok) {
    sort_failures(b);
    records_open(&reader->envelope, fd, q, 0);
    ok = read_envelope(b, &reader->envelope) && set_recipient(b) && read_copy(b, fd, q);
  }
  int e = errno;
  free(reader);
  errno = e;
  return ok;
}

void bounce_free(struct bounce *b)
{
  stralloc *all[] = { &b->sender, &b->bytes, &b->copy, &b->from, &b->host, &b->to, &b->doubleto };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) stralloc_free(all[i]);
  free(b->failures);
  b->failures = 0;
  b->count = b->room = 0;
}
