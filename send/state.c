/* state.c - what was tried for a message; see state.h */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <skalibs/types.h>
#include <skalibs/uint64.h>

#include "lines.h"
#include "state.h"

#define AGAIN_NUMBERS 6

static int put_number(stralloc *out, uint64_t n)
{
  char fmt[UINT64_FMT];
  return stralloc_append(out, ' ') && stralloc_catb(out, fmt, uint64_fmt(fmt, n));
}

int state_put_done(stralloc *out, uint32_t rcpt)
{
  return stralloc_append(out, 'd') && put_number(out, rcpt);
}

int state_put_bounced(stralloc *out, uint64_t id)
{
  return stralloc_append(out, 'b') && put_number(out, id);
}

int state_put_told(stralloc *out, uint64_t id)
{
  return stralloc_append(out, 'n') && put_number(out, id);
}

int state_put_sofar(stralloc *out, uint32_t rcpt, char const *text, size_t len)
{
  return stralloc_append(out, 'p') && put_number(out, rcpt) && stralloc_append(out, ' ') &&
         stralloc_catb(out, text, len);
}

int state_put_report(stralloc *out, struct state_report const *r, char const *text, size_t len)
{
  char const action[2] = { ' ', r->action };
  if (!stralloc_append(out, 'r') || !put_number(out, r->rcpt) || !stralloc_catb(out, action, 2) ||
      !put_number(out, r->when) || !stralloc_append(out, ' ') || !stralloc_readyplus(out, 2 * len))
    return 0;
  for (size_t i = 0; i < len; i++) {
    if (text[i] == '\n') stralloc_catb(out, "\\n", 2);
    else if (text[i] == '\\') stralloc_catb(out, "\\\\", 2);
    else stralloc_append(out, text[i]);
  }
  return 1;
}

int state_put_again(stralloc *out, uint32_t rcpt, uint64_t run, struct state_rcpt const *r)
{
  return stralloc_append(out, 'z') && put_number(out, rcpt) && put_number(out, run) &&
         put_number(out, r->attempts) && put_number(out, r->when) && put_number(out, r->age) &&
         put_number(out, r->wait);
}

/* Read the fields of a payload r or f: where its text begins, 0 when it is none. */
static size_t get_report(char const *s, size_t len, struct state_report *r)
{
  static char const actions[] = { STATE_ACT_FAILED, STATE_ACT_DELIVERED, STATE_ACT_RELAYED,
                                  STATE_ACT_EXPANDED, STATE_ACT_DELAYED };
  uint64_t n;
  size_t pos = 2;
  if (len < 3 || (s[0] != 'r' && s[0] != 'f') || s[1] != ' ') return 0;
  if (!lines_number(s, len, &pos, &n) || n > UINT32_MAX) return 0;
  r->rcpt = (uint32_t)n;
  r->when = 0;
  r->action = STATE_ACT_FAILED;
  if (s[0] == 'f') return pos;
  if (len - pos < 2 || !memchr(actions, s[pos], sizeof actions) || s[pos + 1] != ' ') return 0;
  r->action = s[pos];
  pos += 2;
  if (!lines_number(s, len, &pos, &n) || n > UINT32_MAX) return 0;
  r->when = (uint32_t)n;
  return pos;
}

int state_get_report(char const *s, size_t len, struct state_report *r, stralloc *text)
{
  size_t pos = get_report(s, len, r);
  if (!pos) return 0;
  if (!stralloc_readyplus(text, len)) return -1;
  for (; pos < len; pos++) {
    char c = s[pos];
    if (c == '\\' && pos + 1 < len && s[++pos] == 'n') c = '\n';
    stralloc_append(text, c);
  }
  return 1;
}

int state_get_done(char const *s, size_t len, uint32_t *rcpt)
{
  uint64_t n;
  size_t pos = 2;
  if (len < 3 || s[0] != 'd' || s[1] != ' ' || !lines_number(s, len, &pos, &n) || n > UINT32_MAX)
    return 0;
  *rcpt = (uint32_t)n;
  return 1;
}

/* The numbers of a payload after its letter; their count, at most <max>. */
static size_t get_numbers(char const *s, size_t len, uint64_t *n, size_t max)
{
  size_t count = 0;
  size_t pos = 2;
  while (count < max && pos < len && lines_number(s, len, &pos, n + count)) count++;
  return count;
}

/* 1 when that was news. */
static int finish(struct state_rcpt *r, uint8_t fate)
{
  if (r->fate != STATE_OPEN) return 0;
  r->fate = fate;
  return 1;
}

static void apply_report(struct state *st, struct state_report const *report)
{
  if (report->rcpt >= st->count) return;
  struct state_rcpt *r = st->rcpts + report->rcpt;
  if (report->action == STATE_ACT_FAILED) st->failed += (uint32_t)finish(r, STATE_FAILED);
  else if (report->action != STATE_ACT_DELAYED) st->arrived += (uint32_t)finish(r, STATE_DONE);
  else {
    st->delayed += !r->warned;
    r->warned = 1;
  }
}

/* A payload p. 1, or 0 with ENOMEM. */
static int apply_sofar(struct state *st, char const *s, size_t len)
{
  uint64_t n;
  size_t pos = 2;
  if (!lines_number(s, len, &pos, &n) || n >= st->count) return 1;
  size_t start = st->sofar.len;
  if (start >= UINT32_MAX || !stralloc_catb(&st->sofar, s + pos, len - pos) ||
      !stralloc_append(&st->sofar, 0))
    return 0;
  st->rcpts[n].sofar = 1 + (uint32_t)start;
  return 1;
}

char const *state_sofar(struct state const *st, struct state_rcpt const *r)
{
  return r->sofar ? st->sofar.s + r->sofar - 1 : 0;
}

static void apply(struct state *st, char const *s, size_t len, uint64_t run)
{
  uint64_t n[AGAIN_NUMBERS];
  struct state_report report;
  if (get_report(s, len, &report)) {
    apply_report(st, &report);
    return;
  }
  size_t count = get_numbers(s, len, n, AGAIN_NUMBERS);
  if (!count) return;
  if (s[0] == 'b') st->bounced = n[0];
  else if (s[0] == 'n') st->delayed = 0;
  if (s[0] == 'b' || s[0] == 'n' || n[0] >= st->count) return;
  struct state_rcpt *r = st->rcpts + n[0];
  if (s[0] == 'd') finish(r, STATE_DONE);
  else if (s[0] == 'z' && count == AGAIN_NUMBERS) {
    r->attempts = n[1] == run ? (uint16_t)n[2] : 0;
    r->when = (uint32_t)n[3];
    r->age = (uint32_t)n[4];
    r->wait = (uint32_t)n[5];
  }
}

/* 1, or -1 with ENOMEM. */
static int apply_line(struct state *st, char const *s, size_t len, uint64_t run)
{
  if (len < 3 || s[1] != ' ') return 1;
  if (*s == 'p') return apply_sofar(st, s, len) ? 1 : -1;
  apply(st, s, len, run);
  return 1;
}

int state_read(struct state *st, int fd, char const nonce[QFILE_NONCE], uint32_t count,
               uint64_t run)
{
  struct lines *l = malloc(sizeof *l);
  char const *s;
  size_t len;
  if (!l) return -1;
  int r = lines_open_own(l, fd, STATE_TITLE, nonce);
  if (r == 1) {
    st->count = count;
    st->rcpts = calloc(count ? count : 1, sizeof *st->rcpts);
    if (!st->rcpts) r = -1;
  }
  if (r == 1) {
    while ((r = lines_next(l, &s, &len)) == 1 && (r = apply_line(st, s, len, run)) == 1) continue;
    if (r == -1) state_free(st);
    else r = 1;
  }
  int e = errno;
  free(l);
  errno = e;
  return r;
}

void state_free(struct state *st)
{
  free(st->rcpts);
  stralloc_free(&st->sofar);
  *st = (struct state)STATE_ZERO;
}
