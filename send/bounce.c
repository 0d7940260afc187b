/* bounce.c - gather what a report is made of; see bounce.h. Its text is made in bounce_text.c. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounce.h"
#include "control.h"
#include "fileat.h"
#include "header.h"
#include "records.h"
#include "lines.h"
#include "rewrite.h"
#include "state.h"
#include "word.h"

#define DOUBLE_SENDER "#@[]"
#define RCPTS_MIN     16
#define TOLD          0 /* instead of an action: nothing more to tell */

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
  b->copymax = BOUNCE_COPY_MAX;
  int ok = read_name(&b->from, "bouncefrom", "MAILER-DAEMON") &&
           control_line_or_me("bouncehost", &b->host) == 1 &&
           read_name(&b->doubleto, "doublebounceto", "postmaster") &&
           control_line_or_me("doublebouncehost", &host) == 1 &&
           control_number("bouncemaxbytes", &b->copymax, BOUNCE_COPY_LIMIT) != -1;
  if (!ok && errno != ENOMEM) b->why = control_why();
  b->doubleto.len = ok ? strlen(b->doubleto.s) : 0;
  if (b->doubleto.len) {
    ok = stralloc_append(&b->doubleto, '@') && stralloc_cats(&b->doubleto, host.s) &&
         stralloc_0(&b->doubleto);
  }
  stralloc_free(&host);
  return ok;
}

static struct bounce_rcpt *new_rcpt(struct bounce *b)
{
  if (b->count == b->room) {
    size_t room = b->room ? b->room * 2 : RCPTS_MIN;
    struct bounce_rcpt *r = reallocarray(b->rcpts, room, sizeof *r);
    if (!r) return 0;
    b->rcpts = r;
    b->room = room;
  }
  return b->rcpts + b->count++;
}

/* Keep what became of one recipient. 1, or 0 with ENOMEM. */
static int add_rcpt(struct bounce *b, struct state_report const *report, char const *text,
                    size_t len)
{
  struct bounce_rcpt *r = new_rcpt(b);
  if (!r) return 0;
  if (b->bytes.len > BOUNCE_TEXT_MAX && len > BOUNCE_SHORT) len = BOUNCE_SHORT;
  *r = (struct bounce_rcpt){ .index = report->rcpt, .when = report->when,
                             .action = report->action, .text = b->bytes.len, .textlen = len };
  return stralloc_catb(&b->bytes, text, len) && stralloc_0(&b->bytes);
}

/* The sender was told of all delays so far: those recipients stay in the list only as known. */
static void forget_delays(struct bounce *b)
{
  for (size_t i = 0; i < b->count; i++)
    if (b->rcpts[i].action == STATE_ACT_DELAYED) b->rcpts[i].action = TOLD;
}

/* One line of the state file. 1, or 0 with ENOMEM. */
static int take_line(struct bounce *b, char const *s, size_t len, stralloc *text)
{
  struct state_report report;
  text->len = 0;
  int r = state_get_report(s, len, &report, text);
  if (r == -1) return 0;
  if (r == 1 && (b->time == BOUNCE_LATE || report.action != STATE_ACT_DELAYED))
    return add_rcpt(b, &report, text->s, text->len);
  if (b->time == BOUNCE_LATE && state_get_done(s, len, &report.rcpt)) {
    report.action = TOLD;
    report.when = 0;
    return add_rcpt(b, &report, "", 0);
  }
  if (len && *s == 'n') forget_delays(b);
  return 1;
}

static int read_reports(struct bounce *b, struct lines *l, struct qfile const *q)
{
  stralloc text = STRALLOC_ZERO;
  char const *s;
  size_t len;
  int r = lines_open_own(l, l->fd, STATE_TITLE, q->nonce);
  while (r == 1 && (r = lines_next(l, &s, &len)) == 1)
    if (!take_line(b, s, len, &text)) r = -1;
  stralloc_free(&text);
  return r != -1;
}

/* By index; of two for one recipient, that of its end, and then the first, which a repeated
 * journal makes, counts. */
static int compare(void const *a, void const *b)
{
  struct bounce_rcpt const *x = a;
  struct bounce_rcpt const *y = b;
  int late = (x->action == STATE_ACT_DELAYED) - (y->action == STATE_ACT_DELAYED);
  if (x->index != y->index) return x->index < y->index ? -1 : 1;
  if (late) return late;
  return x->text < y->text ? -1 : 1;
}

/* Leave one for each recipient; when it is about delays, only those that are late. */
static void sort_rcpts(struct bounce *b)
{
  size_t n = 0;
  uint32_t last = 0;
  if (b->count) qsort(b->rcpts, b->count, sizeof *b->rcpts, compare);
  for (size_t i = 0; i < b->count; i++) {
    struct bounce_rcpt const *r = b->rcpts + i;
    if (i && r->index == last) continue;
    last = r->index;
    if (b->time == BOUNCE_LATE && r->action != STATE_ACT_DELAYED) continue;
    b->rcpts[n++] = *r;
  }
  b->count = n;
}

/* What the X records before a recipient ask for. */
struct wish {
  unsigned int notify; /* 0: nothing */
  size_t orcpt;        /* as in struct bounce_rcpt */
};

/* Is the sender to be told? What goes to doublebounceto is no sender's wish. */
static int is_wanted(struct bounce const *b, struct bounce_rcpt const *r, struct wish const *w)
{
  switch (bounce_kind(b->sender.s, b->sender.len)) {
  case BOUNCE_SINGLE: break;
  default: return r->action == STATE_ACT_FAILED;
  }
  unsigned int notify = w->notify ? w->notify : DSN_FAILURE | DSN_DELAY;
  if (r->action == STATE_ACT_FAILED) return notify & DSN_FAILURE;
  return notify & (r->action == STATE_ACT_DELAYED ? DSN_DELAY : DSN_SUCCESS);
}

/* Append s[0..len) and a NUL to the bytes; <*at> is where. */
static int keep(struct bounce *b, size_t *at, char const *s, size_t len)
{
  *at = b->bytes.len;
  return stralloc_catb(&b->bytes, s, len) && stralloc_0(&b->bytes);
}

/* An X record: of the message, or (<wish> is set then) of the recipient that follows. */
static int take_extra(struct bounce *b, struct wish *w, char const *s, size_t len, int listed)
{
  size_t n;
  char const *v;
  if ((v = dsn_find(s, len, "NOTIFY", &n))) {
    if (!w->notify) w->notify = dsn_notify(v, n);
  } else if ((v = dsn_find(s, len, "ORCPT", &n))) {
    if (listed && !w->orcpt && dsn_orcpt_type(v, n)) return keep(b, &w->orcpt, v, n);
  } else if ((v = dsn_find(s, len, "RET", &n))) {
    if (!b->ret) b->ret = dsn_ret(v, n);
  } else if ((v = dsn_find(s, len, "ENVID", &n)) && !b->envid.len && dsn_envid_ok(v, n)) {
    return stralloc_copyb(&b->envid, v, n);
  }
  return 1;
}

/* A recipient that is in the list at <at>: it stays at <*kept>, if the sender is to be told. */
static int take_listed(struct bounce *b, size_t at, size_t *kept, struct wish const *w,
                       char const *s, size_t len)
{
  struct bounce_rcpt r = b->rcpts[at];
  if (!is_wanted(b, &r, w)) return 1;
  r.orcpt = w->orcpt;
  b->failed += r.action == STATE_ACT_FAILED;
  int ok = keep(b, &r.addr, s, len);
  b->rcpts[(*kept)++] = r;
  return ok;
}

/* Read the sender, the message's wishes, and the addresses of those in the list. */
static int read_envelope(struct bounce *b, struct records *e)
{
  char letter;
  char const *s;
  size_t len;
  uint32_t index = 0;
  size_t at = 0, kept = 0;
  struct wish wish = { 0 };
  int r;
  while ((r = records_next(e, &letter, &s, &len)) == 1) {
    int listed = at < b->count && b->rcpts[at].index == index;
    if (letter == 'F' && (!stralloc_copyb(&b->sender, s, len) || !stralloc_0(&b->sender))) return 0;
    if (letter == 'F') b->sender.len--;
    if (letter == 'X' && !take_extra(b, &wish, s, len, listed)) return 0;
    if (letter != 'T') continue;
    if (listed && !take_listed(b, at++, &kept, &wish, s, len)) return 0;
    wish = (struct wish){ 0 };
    index++;
  }
  b->count = kept;
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

/* The whole original comes back with failures only (RFC 3461, 4.3). */
static int read_copy(struct bounce *b, int fd, struct qfile const *q)
{
  b->header_only = !b->failed || b->ret == DSN_RET_HDRS || q->msglen > b->copymax;
  uint64_t most = b->header_only ? BOUNCE_HEAD_MAX : b->copymax;
  size_t want = (size_t)(q->msglen < most ? q->msglen : most);
  if (!stralloc_ready(&b->copy, want + 1)) return 0;
  ssize_t n = fileat_read(fd, b->copy.s, want, QFILE_HEADER);
  if (n == -1) return 0;
  if ((size_t)n < want) return (errno = EIO, 0);
  b->copy.len = want;
  if (b->header_only) b->copy.len = header_length(b->copy.s, b->copy.len);
  return !b->copy.len || b->copy.s[b->copy.len - 1] == '\n' || stralloc_append(&b->copy, '\n');
}

/* Does this field say that nobody waits for the message? */
static int says_automatic(struct header_field const *f)
{
  size_t at = f->value, end;
  while (at < f->len && strchr(" \t\n", f->s[at])) at++;
  for (end = at; end < f->len && !strchr(" \t\n;(", f->s[end]);) end++;
  char const *word = f->s + at;
  size_t n = end - at;
  if (word_is(f->s, f->namelen, "Auto-Submitted")) return n && !word_is(word, n, "no");
  return word_is(f->s, f->namelen, "Precedence") &&
         (word_is(word, n, "bulk") || word_is(word, n, "list") || word_is(word, n, "junk"));
}

/* A delay of mail that a program sent is told to nobody. */
static int is_automatic(stralloc const *header)
{
  struct header_field f;
  for (size_t pos = 0; header_next(header->s, header->len, &pos, &f);)
    if (says_automatic(&f)) return 1;
  return 0;
}

static int set_recipient(struct bounce *b)
{
  stralloc const *to = bounce_kind(b->sender.s, b->sender.len) == BOUNCE_DOUBLE ? &b->doubleto
                                                                               : &b->sender;
  size_t len = strlen(to->s);
  if (to == &b->sender && verp_is(to->s, len)) len -= sizeof "-@[]" - 1;
  return stralloc_copyb(&b->to, to->s, len) && stralloc_0(&b->to);
}

int bounce_gather(struct bounce *b, int fd, struct qfile const *q, int statefd,
                  enum bounce_time time)
{
  union {
    struct lines lines;
    struct records envelope;
  } *reader = malloc(sizeof *reader);
  if (!reader) return 0;
  b->time = time;
  b->arrival = (int64_t)(q->birth / 1000000);
  reader->lines.fd = statefd;
  int ok = read_names(b) && read_reports(b, &reader->lines, q);
  if (ok) {
    sort_rcpts(b);
    records_open(&reader->envelope, fd, q, 0);
    ok = read_envelope(b, &reader->envelope) && set_recipient(b) && read_copy(b, fd, q);
  }
  if (ok && time == BOUNCE_LATE && is_automatic(&b->copy)) b->count = 0;
  int e = errno;
  free(reader);
  errno = e;
  return ok;
}

void bounce_free(struct bounce *b)
{
  stralloc *all[] = { &b->sender, &b->bytes, &b->copy, &b->from,
                      &b->host,   &b->to,    &b->doubleto, &b->envid };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) stralloc_free(all[i]);
  free(b->rcpts);
  b->rcpts = 0;
  b->count = b->room = 0;
}
