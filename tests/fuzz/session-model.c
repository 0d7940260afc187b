/* session-model.c - read a client's bytes as RFC 5321 says, and judge smtpd's words and deeds by it
 *
 * Nothing of smtpd is used here but its limits; where the client had time to
 * wait for an answer and where not is taken from what it had written by then.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../naive.h"
#include "address.h"
#include "fuzz.h"
#include "qfile.h"
#include "received.h"
#include "session.h"

#define HOPS_MAX     100
#define DSN_TEXT_MAX 520 /* bytes of a parameter of RFC 3461, as it goes into the envelope */

struct address {
  char s[ADDRESS_MAX];
  size_t len;
};

struct model {
  size_t pos;   /* in the client's bytes */
  size_t event; /* the next one */
  int over;
  int esmtp, tls;
  int has_sender, eightbit;
  uint64_t size;
  char wishes[2][DSN_TEXT_MAX]; /* "RET=HDRS", "ENVID=x", or "" */
  char rcpt_wishes[RCPTS_MAX][2][DSN_TEXT_MAX];
  struct address sender;
  struct address rcpts[RCPTS_MAX];
  size_t nrcpts;
  int queue; /* 0 closed, 1 open, -1 it could not be opened */
  unsigned long in_a_row;
};

/* --- events --- */

static struct event const *peek(struct model const *m)
{
  return m->event < rec.nevents ? rec.events + m->event : 0;
}

static struct event const *next(struct model *m, enum event_kind kind)
{
  struct event const *e = peek(m);
  REQUIRE(e && e->kind == kind);
  m->event++;
  return e;
}

static char const *text_of(struct event const *e)
{
  return rec.pool + e->text;
}

static int is_digit(char c)
{
  return c >= '0' && c <= '9';
}

/* Does "2.1.5" and a space stand at s[0..len), of the class of <code>? */
static int has_status(char const *s, size_t len, char class)
{
  size_t i = 2;
  if (len < 6 || s[0] != class || s[1] != '.') return 0;
  for (int part = 0; part < 2; part++) {
    size_t digits = 0;
    while (i < len && is_digit(s[i])) i++, digits++;
    if (!digits || digits > 3 || i == len || s[i] != (part ? ' ' : '.')) return 0;
    i++;
  }
  return i < len;
}

/* One whole reply, whose lines have one code; <status>: with an enhanced one on each. */
static int read_reply(struct event const *e, int status)
{
  char const *s = text_of(e);
  size_t len = e->len;
  for (int last = 0; !last;) {
    char const *lf = len ? memchr(s, '\n', len) : 0;
    REQUIRE(lf && lf > s && lf[-1] == '\r');
    size_t n = (size_t)(lf - s) - 1;
    REQUIRE(n >= 4 && n <= 510 && !memcmp(s, text_of(e), 3));
    REQUIRE(s[0] >= '2' && s[0] <= '5' && is_digit(s[1]) && is_digit(s[2]));
    REQUIRE(s[3] == ' ' || s[3] == '-');
    last = s[3] == ' ';
    for (size_t i = 3; i < n; i++) REQUIRE(s[i] >= 32 && s[i] < 127);
    REQUIRE(!status || has_status(s + 4, n - 4, s[0]));
    len -= n + 2;
    s += n + 2;
  }
  REQUIRE(!len);
  return atoi(text_of(e));
}

/* The session ends with this reply, or has ended. */
static void end(struct model *m)
{
  m->over = 1;
}

/* Take the next reply; its code. */
static int reply(struct model *m, int status)
{
  struct event const *e = next(m, EVENT_REPLY);
  int code = read_reply(e, status);
  if (code >= 500) m->in_a_row++;
  return code;
}

static int says(struct event const *e, char const *what)
{
  return e && e->kind == EVENT_REPLY && memmem(text_of(e), e->len, what, strlen(what));
}

/* Does the server end the session by itself? */
static int is_last_word(struct model const *m)
{
  struct event const *e = peek(m);
  return says(e, "421 4.4.2 this session has lasted") || says(e, "421 4.3.2 shutting down") ||
         says(e, "421 4.4.2 timeout");
}

/* Has the server left without a word? Then it has only thrown away the message at hand. */
static int is_silent(struct model const *m)
{
  struct event const *e = peek(m);
  return !e || (e->kind == EVENT_ABORT && m->event + 1 == rec.nevents && m->queue == 1);
}

/* How much of what the client sent must have been answered before that: all, when it was silent
 * for too long; when time is up, or the server is told to stop, what it has not read may be left.
 */
static size_t due(struct model const *m)
{
  if (rec.cut || (is_last_word(m) && !says(peek(m), "timeout"))) return m->pos;
  return is_last_word(m) ? peek(m)->written : rec.sentlen;
}

/* --- what belongs to a transaction --- */

static void forget(struct model *m)
{
  if (m->queue == 1) next(m, EVENT_ABORT);
  m->queue = 0;
  m->has_sender = m->eightbit = 0;
  m->size = 0;
  m->nrcpts = 0;
}

static int is_control(char c)
{
  return (unsigned char)c < 32 || c == 127;
}

/* The path after <keyword>: 1, and <*used> bytes of s[0..len) are it; or 0. */
static int path(struct address *a, char const *keyword, char const *s, size_t len, size_t *used)
{
  size_t i = strlen(keyword), at = 0;
  int quoted = 0, any_at = 0;
  a->len = 0;
  if (len < i || strncasecmp(s, keyword, i)) return 0;
  while (i < len && s[i] == ' ') i++;
  if (i == len) return 0;
  int angle = s[i] == '<';
  i += (size_t)angle;
  if (i < len && s[i] == '@') {
    while (i < len && s[i] != ':' && s[i] != '>') i++;
    if (i == len || s[i] == '>') return 0;
    i++;
  }
  for (;; i++) {
    if (i == len) break;
    if (!quoted && s[i] == (angle ? '>' : ' ')) break;
    char c = s[i];
    if (c == '"') {
      quoted = !quoted;
      continue;
    }
    if (c == '\\') {
      if (++i == len) return 0;
      c = s[i];
    } else if (!quoted && (c == ' ' || c == '<' || c == '>')) {
      return 0;
    }
    if (is_control(c) || a->len == sizeof a->s) return 0;
    if (c == '@') any_at = 1, at = a->len;
    a->s[a->len++] = c;
  }
  if (quoted || (angle && i == len)) return 0;
  *used = i + (size_t)angle;
  if (!any_at) return 1;
  if (!at || at + 1 == a->len) return 0;
  for (size_t k = at + 1; k < a->len; k++)
    if (strchr(" ()<>,;\"\\", a->s[k])) return 0;
  return 1;
}

static char const *domain_of(struct address const *a, size_t *len)
{
  char const *at = memrchr(a->s, '@', a->len);
  if (!at) return 0;
  *len = a->len - (size_t)(at + 1 - a->s);
  return at + 1;
}

static int is(char const *s, size_t len, char const *word)
{
  return len == strlen(word) && !strncasecmp(s, word, len);
}

static int ends(char const *s, size_t len, char const *suffix)
{
  size_t n = strlen(suffix);
  return len >= n && is(s + len - n, n, suffix);
}

/* Is it one of this machine's, [127.0.0.1] or [::1] in any of its forms? Those the fuzzer
 * does not try to tell; the address may have become box@LOCALIPHOST. */
static int maybe_literal(struct address const *a)
{
  size_t len;
  char const *d = domain_of(a, &len);
  return d && len >= 3 && d[0] == '[' && d[len - 1] == ']';
}

static int is_allowed(struct address const *a)
{
  size_t len;
  char const *d = domain_of(a, &len);
  if (rec.setup.relay) return 1;
  if (!d) return is(a->s, a->len, "postmaster");
  if (rec.setup.no_rcpthosts) return 0;
  if (is(d, len, "ok.example") || is(d, len, "upper.example") || is(d, len, LOCALIPHOST)) return 1;
  if (is(d, len, "more.example")) return 1;
  return ends(d, len, ".sub.example") || ends(d, len, ".moresub.example");
}

static int is_bad_sender(struct address const *a)
{
  size_t len;
  char const *d = domain_of(a, &len);
  return is(a->s, a->len, "bad@evil.example") || (d && is(d, len, "worse.example"));
}

/* Make the address what it may have become. */
static void localise(struct address *a)
{
  size_t len;
  char const *d = domain_of(a, &len);
  if (a->len - len + strlen(LOCALIPHOST) > sizeof a->s) {
    a->len = 0;
    return;
  }
  a->len -= len;
  memcpy((char *)d, LOCALIPHOST, strlen(LOCALIPHOST));
  a->len += strlen(LOCALIPHOST);
}

/* --- commands --- */

static int take_size(struct model *m, char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    uint64_t digit = (uint64_t)(s[i] - '0');
    if (!is_digit(s[i])) return 0;
    if (__builtin_mul_overflow(m->size, 10u, &m->size) ||
        __builtin_add_overflow(m->size, digit, &m->size))
      m->size = UINT64_MAX;
  }
  return len > 0;
}

/* --- what is asked of notices (RFC 3461) --- */

static int is_xtext(char const *s, size_t len)
{
  static char const digits[] = "0123456789ABCDEF";
  for (size_t i = 0; i < len; i++) {
    if (s[i] < 33 || s[i] > 126 || s[i] == '=') return 0;
    if (s[i] != '+') continue;
    if (len - i < 3 || !strchr(digits, s[i + 1]) || !strchr(digits, s[i + 2])) return 0;
    char const hex[3] = { s[i + 1], s[i + 2], 0 };
    long c = strtol(hex, 0, 16);
    if (c < 32 || c > 126) return 0;
    i += 2;
  }
  return len > 0;
}

/* The words of a list: a bit for each, in the order of <words>; 0 when another is in it. */
static unsigned int word_bits(char const *s, size_t len, char const *const *words)
{
  unsigned int bits = 0;
  for (size_t at = 0, n; at <= len; at += n + 1) {
    int known = 0;
    for (n = 0; at + n < len && s[at + n] != ','; n++) continue;
    for (unsigned int w = 0; words[w]; w++)
      if (is(s + at, n, words[w])) bits |= 1u << w, known = 1;
    if (!known) return 0;
  }
  return bits;
}

static int take_notify(char *to, char const *s, size_t len)
{
  static char const *const words[] = { "NEVER", "SUCCESS", "FAILURE", "DELAY", 0 };
  unsigned int bits = word_bits(s, len, words);
  size_t n = (size_t)sprintf(to, "NOTIFY=");
  if (!bits || (bits & 1 && bits != 1)) return *to = 0;
  for (unsigned int w = 0; words[w]; w++)
    if (bits >> w & 1) n += (size_t)sprintf(to + n, "%s%s", to[n - 1] == '=' ? "" : ",", words[w]);
  return 1;
}

static int take_orcpt(char *to, char const *s, size_t len)
{
  size_t n = 0;
  while (n < len && s[n] > 32 && s[n] < 127 && !strchr("()<>@,;:\\\".[]", s[n])) n++;
  if (len > 500 || !n || n == len || s[n] != ';' || !is_xtext(s + n + 1, len - n - 1)) return 0;
  sprintf(to, "ORCPT=%.*s", (int)len, s);
  return 1;
}

/* One parameter of RFC 3461: is it right, and the first of its name? */
static int take_wish(char wishes[2][DSN_TEXT_MAX], int rcpt, char const *p, size_t n)
{
  if (rec.setup.program) return 0;
  if (rcpt && n > 7 && is(p, 7, "NOTIFY=") && !*wishes[0]) return take_notify(wishes[0], p + 7, n - 7);
  if (rcpt && n > 6 && is(p, 6, "ORCPT=") && !*wishes[1]) return take_orcpt(wishes[1], p + 6, n - 6);
  if (!rcpt && !*wishes[0] && (is(p, n, "RET=FULL") || is(p, n, "RET=HDRS"))) {
    strcpy(wishes[0], is(p, n, "RET=FULL") ? "RET=FULL" : "RET=HDRS");
    return 1;
  }
  if (rcpt || n <= 6 || n > 106 || !is(p, 6, "ENVID=") || *wishes[1] || !is_xtext(p + 6, n - 6)) return 0;
  sprintf(wishes[1], "ENVID=%.*s", (int)n - 6, p + 6);
  return 1;
}

/* The parameters of RCPT. */
static int rcpt_params(char wishes[2][DSN_TEXT_MAX], char const *s, size_t len)
{
  *wishes[0] = *wishes[1] = 0;
  for (size_t i = 0, n; i < len; i += n) {
    if (s[i] != ' ') return 0;
    while (i < len && s[i] == ' ') i++;
    if (i == len) return 1;
    for (n = 0; i + n < len && s[i + n] != ' '; n++) continue;
    if (!take_wish(wishes, 1, s + i, n)) return 0;
  }
  return 1;
}

/* The parameters of MAIL: are they what is offered? */
static int params(struct model *m, char const *s, size_t len)
{
  m->size = 0;
  m->eightbit = 0;
  *m->wishes[0] = *m->wishes[1] = 0;
  for (size_t i = 0; i < len;) {
    if (s[i] != ' ') return 0;
    while (i < len && s[i] == ' ') i++;
    if (i == len) return 1;
    size_t n = 0;
    while (i + n < len && s[i + n] != ' ') n++;
    char const *p = s + i;
    if (is(p, n, "BODY=8BITMIME"))
      m->eightbit = 1;
    else if (is(p, n, "BODY=7BIT"))
      m->eightbit = 0;
    else if (take_wish(m->wishes, 0, p, n))
      ;
    else if (m->size || n < 5 || !is(p, 5, "SIZE=") || !take_size(m, p + 5, n - 5))
      return 0;
    i += n;
  }
  return 1;
}

/* A sender that may have become another: what the server took shows at the commit. */
static void mail(struct model *m, char const *arg, size_t len)
{
  size_t used;
  if (m->has_sender) {
    REQUIRE(reply(m, 1) == 503);
    return;
  }
  int ok = path(&m->sender, "FROM:", arg, len, &used);
  int good = ok && params(m, arg + used, len - used);
  int code = reply(m, 1);
  if (!good) {
    REQUIRE(code == 501 || code == 555);
    return;
  }
  if (code == 555) {
    REQUIRE(maybe_literal(&m->sender)); /* box@localiphost would be too long */
    return;
  }
  if (rec.setup.databytes && m->size > rec.setup.databytes) {
    REQUIRE(code == 552);
    forget(m);
    return;
  }
  REQUIRE(code == 250);
  m->has_sender = 1;
}

static void rcpt(struct model *m, char const *arg, size_t len)
{
  struct address a;
  size_t used;
  if (!m->has_sender) {
    REQUIRE(reply(m, 1) == 503);
    return;
  }
  char wishes[2][DSN_TEXT_MAX];
  if (!path(&a, "TO:", arg, len, &used) || !a.len ||
      !rcpt_params(wishes, arg + used, len - used)) {
    int code = reply(m, 1);
    REQUIRE(code == 501 || code == 555);
    return;
  }
  struct address b = a;
  if (maybe_literal(&a)) localise(&b);
  int long_suffix = rec.setup.relay && strlen(rec.setup.suffix) > 100;
  int too_many = m->nrcpts == RCPTS_MAX || (m->nrcpts && !m->sender.len);
  int opens = peek(m) && peek(m)->kind == EVENT_OPEN;
  if (opens) { /* before its reply */
    struct event const *e = next(m, EVENT_OPEN);
    REQUIRE(!m->queue && !rec.setup.program);
    REQUIRE(received_trace_ok(text_of(e), e->len) && e->len <= QUEUEWIRE_TRACE_MAX);
    m->queue = e->result ? 1 : -1;
    REQUIRE(e->value == m->size);
  }
  int code = reply(m, 1);
  REQUIRE(!opens || code == 250);
  if (code == 250) {
    REQUIRE(!is_bad_sender(&m->sender) && !too_many && !long_suffix);
    REQUIRE(m->queue || rec.setup.program);
    if (!is_allowed(&a)) REQUIRE(maybe_literal(&a) && is_allowed(&b));
    memcpy(m->rcpt_wishes[m->nrcpts], wishes, sizeof wishes);
    m->rcpts[m->nrcpts++] = a;
    return;
  }
  if (is_bad_sender(&m->sender))
    REQUIRE(code == 553);
  else if (maybe_literal(&a) && code != 553)
    REQUIRE(code == 555 ? !b.len : too_many || long_suffix);
  else if (!is_allowed(&a))
    REQUIRE(code == 553);
  else if (too_many)
    REQUIRE(code == 452);
  else
    REQUIRE(long_suffix && code == 451);
}

/* The next record of an envelope at <*s>: its letter; <*value> and <*len>. */
static char take_record(char const **s, size_t *left, char const **value, size_t *len)
{
  char const *nul = *left ? memchr(*s, 0, *left) : 0;
  REQUIRE(nul && nul > *s);
  char letter = **s;
  *value = *s + 1;
  *len = (size_t)(nul - *s) - 1;
  *left -= *len + 2;
  *s = nul + 1;
  return letter;
}

static int is_address(char const *s, size_t len, struct address const *a, char const *suffix)
{
  struct address b = *a;
  size_t n = strlen(suffix);
  if (len < n || memcmp(s + len - n, suffix, n)) return 0;
  len -= n;
  if (len == a->len && !memcmp(s, a->s, len)) return 1;
  if (!maybe_literal(a)) return 0;
  localise(&b);
  return len == b.len && !memcmp(s, b.s, len);
}

static void check_wishes(char const wishes[2][DSN_TEXT_MAX], char const **s, size_t *left)
{
  char const *value;
  size_t len;
  for (int i = 0; i < 2; i++)
    if (*wishes[i]) {
      REQUIRE(take_record(s, left, &value, &len) == 'X');
      REQUIRE(len == strlen(wishes[i]) && !memcmp(value, wishes[i], len));
    }
}

static void check_envelope(struct model const *m, char const *s, size_t left)
{
  char const *value;
  size_t len;
  REQUIRE(take_record(&s, &left, &value, &len) == 'F' && is_address(value, len, &m->sender, ""));
  if (m->eightbit) {
    REQUIRE(take_record(&s, &left, &value, &len) == 'X' && is(value, len, "BODY=8BITMIME"));
  }
  check_wishes(m->wishes, &s, &left);
  for (size_t i = 0; i < m->nrcpts; i++) {
    char const *suffix = rec.setup.relay ? rec.setup.suffix : "";
    check_wishes(m->rcpt_wishes[i], &s, &left);
    REQUIRE(take_record(&s, &left, &value, &len) == 'T');
    REQUIRE(is_address(value, len, m->rcpts + i, suffix) && len < QFILE_ADDR_MAX);
  }
  REQUIRE(!left);
}

/* A QMAILQUEUE program gets the Received field that smtpd writes. Its length. */
static size_t check_received(char const *s, size_t len)
{
  static char const start[] = "Received: from ";
  REQUIRE(len > sizeof start && !memcmp(s, start, sizeof start - 1));
  size_t n = 0;
  do {
    char const *lf = memchr(s + n, '\n', len - n);
    REQUIRE(lf);
    for (size_t i = n; s + i < lf; i++) REQUIRE(s[i] == '\t' || (s[i] >= 32 && s[i] < 127));
    n = (size_t)(lf - s) + 1;
  } while (n < len && (s[n] == '\t' || s[n] == ' ') && memcmp(s + n - 7, " +0000\n", 7));
  return n;
}

static int is_hop(char const *line, size_t len)
{
  return (len >= 9 && is(line, 9, "Received:")) || (len >= 13 && is(line, 13, "Delivered-To:"));
}

static unsigned int count_hops(char const *s, size_t len)
{
  unsigned int n = 0;
  for (char const *nl; len && (nl = memchr(s, '\n', len)) && nl != s;) {
    size_t line = (size_t)(nl - s);
    n += (unsigned int)is_hop(s, line);
    s += line + 1;
    len -= line + 1;
  }
  return n;
}

static void check_commit(struct model *m, struct naive const *text)
{
  struct event const *e = next(m, EVENT_COMMIT);
  char const *s = text_of(e);
  size_t skip = rec.setup.program ? check_received(s, e->value) : 0;
  REQUIRE(e->value - skip == text->len && !memcmp(s + skip, text->text, text->len));
  check_envelope(m, s + e->value, e->len - e->value);
  m->queue = 0;
  int code = reply(m, 1);
  if (e->result == SUBMIT_OK) {
    REQUIRE(code == 250);
    m->in_a_row = 0;
  } else {
    REQUIRE(e->result == SUBMIT_PERMANENT ? code == 554 : code == 451 || code == 452);
  }
}

/* The text, from 354 on. */
static void text(struct model *m)
{
  static char buf[SENT_MAX];
  struct naive n = { .text = buf };
  naive_read(&n, rec.sent + m->pos, rec.sentlen - m->pos, rec.setup.mend);
  int hops = !n.bad && count_hops(n.text, n.len) >= HOPS_MAX;
  int refused = n.bad || hops || (rec.setup.databytes && n.octets > rec.setup.databytes);
  /* As soon as it is clear that it will be refused, the queue need not wait for the rest. */
  if (peek(m) && peek(m)->kind == EVENT_ABORT && refused) {
    next(m, EVENT_ABORT);
    m->queue = 0;
  }
  if (!n.ended || is_last_word(m) || is_silent(m)) {
    REQUIRE(!n.ended || due(m) < m->pos + n.used);
    m->pos = is_last_word(m) ? peek(m)->written : rec.sentlen;
    return;
  }
  m->pos += n.used;
  if (refused) {
    int code = reply(m, 1);
    REQUIRE(n.bad ? code == 550 : code == 552 || code == 554);
    REQUIRE(code != 554 || hops);
    REQUIRE(code != 552 || (rec.setup.databytes && n.octets > rec.setup.databytes));
  } else {
    check_commit(m, &n);
  }
  size_t written = rec.events[m->event - 1].written;
  int ahead = !m->esmtp && !rec.setup.relay && written > m->pos;
  int told = says(peek(m), "554 5.5.0 you went on without waiting");
  REQUIRE(told ? ahead : !ahead || rec.setup.pipes); /* what waits in a pipe is not seen */
  if (told) {
    reply(m, 1);
    end(m);
  }
  forget(m);
}

/* DATA was refused: what the client has sent behind it is text, and no command. */
static void no_text(struct model *m)
{
  size_t written = rec.events[m->event - 1].written;
  int told = says(peek(m), "554 5.5.0 you sent data");
  REQUIRE(told ? written > m->pos : written == m->pos || rec.setup.pipes);
  if (!told) return;
  reply(m, 1);
  end(m);
}

static void data(struct model *m, size_t len)
{
  if (len || !m->has_sender || !m->nrcpts) {
    REQUIRE(reply(m, 1) == (len ? 501 : 503));
    no_text(m);
    return;
  }
  if (!m->queue) {
    struct event const *e = next(m, EVENT_OPEN);
    REQUIRE(received_trace_ok(text_of(e), e->len));
    REQUIRE(!memmem(text_of(e), e->len, m->tls ? "ESMTPS\n\t(TLS)" : "with ESMTP", 10) == !m->esmtp);
    REQUIRE(!memmem(text_of(e), e->len, "(TLS)", 5) == !m->tls);
    m->queue = e->result ? 1 : -1;
    REQUIRE(e->value == m->size);
  }
  if (m->queue == -1 || !next(m, EVENT_ROOM)->result) {
    int code = reply(m, 1);
    REQUIRE(code == 451 || code == 452);
    no_text(m);
    forget(m);
    return;
  }
  size_t written = peek(m) ? peek(m)->written : 0;
  if (says(peek(m), "554 5.5.0 you sent data")) {
    REQUIRE(!rec.setup.relay && written > m->pos);
    reply(m, 1);
    end(m);
    forget(m);
    return;
  }
  REQUIRE(rec.setup.relay || rec.setup.pipes || written == m->pos);
  REQUIRE(reply(m, 0) == 354);
  text(m);
}

static void simple(struct model *m, int code, int status)
{
  REQUIRE(reply(m, status) == code);
}

static void greeted(struct model *m, int esmtp)
{
  forget(m);
  simple(m, 250, 0);
  m->esmtp = esmtp;
}

/* Whatever was said before holds no more; and nothing may have been said behind it. */
static void starttls(struct model *m, size_t len)
{
  struct event const *e = peek(m);
  int ahead = says(e, "554 5.5.0 you went on in clear");
  if (!len) REQUIRE(e && (ahead ? e->written > m->pos : rec.setup.pipes || e->written == m->pos));
  simple(m, len ? 501 : ahead ? 554 : m->tls ? 503 : rec.setup.tls ? 220 : 454, 1);
  if (len || (!ahead && (m->tls || !rec.setup.tls))) return;
  forget(m);
  m->esmtp = 0;
  m->tls = 1;
  if (ahead) end(m);
}

static int is_web(char const *verb, size_t len)
{
  static char const *const verbs[] = { "GET",     "POST",   "PUT",   "HEAD",  "CONNECT",
                                       "OPTIONS", "DELETE", "PATCH", "TRACE", "PRI" };
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
    if (is(verb, len, verbs[i])) return 1;
  return 0;
}

static void command(struct model *m, char const *s, size_t len)
{
  size_t verb = 0;
  while (verb < len && s[verb] != ' ') verb++;
  size_t arg = verb;
  while (arg < len && s[arg] == ' ') arg++;
  if (is(s, verb, "EHLO")) {
    REQUIRE(!says(peek(m), "STARTTLS") == !(rec.setup.tls && !m->tls) || !says(peek(m), "250"));
    greeted(m, 1);
  } else if (is(s, verb, "HELO"))
    greeted(m, 0);
  else if (is(s, verb, "MAIL"))
    mail(m, s + arg, len - arg);
  else if (is(s, verb, "RCPT"))
    rcpt(m, s + arg, len - arg);
  else if (is(s, verb, "DATA"))
    data(m, len - arg);
  else if (is(s, verb, "STARTTLS"))
    starttls(m, len - arg);
  else if (is(s, verb, "NOOP"))
    simple(m, 250, 1);
  else if (is(s, verb, "VRFY"))
    simple(m, 252, 1);
  else if (is(s, verb, "HELP"))
    simple(m, 214, 1);
  else if (is(s, verb, "RSET")) {
    forget(m);
    simple(m, 250, 1);
  } else if (is(s, verb, "QUIT")) {
    simple(m, 221, 1);
    end(m);
  } else if (is_web(s, verb)) {
    simple(m, 554, 1);
    end(m);
  } else {
    simple(m, 502, 1);
  }
}

/* The next line of the client; 0 when there is no whole one, or nothing more was answered. */
static int line(struct model *m)
{
  char const *s = rec.sent + m->pos;
  size_t left = rec.sentlen - m->pos;
  char const *lf = left ? memchr(s, '\n', left) : 0;
  /* A TLS client is told at once, or never when its bytes hold an LF. */
  if (says(peek(m), "TLS is not spoken here")) {
    REQUIRE(left && memchr(s, 0x16, left) && reply(m, 1) == 421);
    end(m);
    return 1;
  }
  if (!lf || is_silent(m) || is_last_word(m)) return 0;
  size_t len = (size_t)(lf - s);
  m->pos += len + 1;
  if (len + 1 > rec.setup.maxline) {
    simple(m, 500, 1);
    return 1;
  }
  if (len && s[len - 1] == '\r') {
    len--;
  } else if (!rec.setup.mend) {
    simple(m, 500, 1);
    end(m);
    return 1;
  }
  while (len && (s[len - 1] == ' ' || s[len - 1] == '\t')) len--;
  int safe = 1;
  for (size_t i = 0; i < len; i++) safe &= !is_control(s[i]);
  if (safe)
    command(m, s, len);
  else
    simple(m, 500, 1);
  return 1;
}

void model_check(void)
{
  static struct model m;
  memset(&m, 0, sizeof m);
  if (says(peek(&m), "554 5.5.0 you spoke")) {
    REQUIRE(!rec.setup.relay && peek(&m)->written > 0);
    reply(&m, 1);
    end(&m);
  } else {
    REQUIRE(peek(&m) && (rec.setup.relay || rec.setup.pipes || !peek(&m)->written));
    simple(&m, 220, 0);
  }
  while (!m.over && line(&m)) {
    if (m.over || !rec.setup.maxerrors || m.in_a_row < rec.setup.maxerrors) continue;
    REQUIRE(says(peek(&m), "421 4.7.0 too many errors"));
    reply(&m, 1);
    end(&m);
  }
  if (!m.over) {
    size_t left = due(&m) - m.pos;
    REQUIRE(!left || !memchr(rec.sent + m.pos, '\n', left));
    if (is_last_word(&m)) reply(&m, 1);
  }
  forget(&m);
  REQUIRE(!peek(&m));
}

/* --- submission --- */

/* How many fields of this name the header of s[0..len) has. */
static unsigned int count_fields(char const *s, size_t len, char const *name)
{
  size_t n = strlen(name);
  unsigned int found = 0;
  for (char const *nl; len && *s != '\n' && (nl = memchr(s, '\n', len)); s = nl + 1) {
    found += len > n && s[n] == ':' && !strncasecmp(s, name, n);
    len -= (size_t)(nl - s) + 1;
  }
  return found;
}

static void check_submitted(struct event const *e, int logged_in)
{
  char const *s = text_of(e), *value, *envelope = s + e->value;
  size_t skip = rec.setup.program ? check_received(s, e->value) : 0;
  size_t len, left = e->len - e->value;
  s += skip;
  size_t size = e->value - skip;
  int resent = count_fields(s, size, "Resent-Message-ID") > 0;
  REQUIRE(logged_in || rec.setup.relay);
  REQUIRE(count_fields(s, size, resent ? "Resent-Date" : "Date") > 0);
  REQUIRE(resent || (count_fields(s, size, "Date") == 1 && count_fields(s, size, "Message-ID") == 1 &&
                     count_fields(s, size, "From") == 1));
  REQUIRE(count_fields(s, size, "From") <= 1 && !count_fields(s, size, "Bcc") && !count_fields(s, size, "Return-Path"));
  REQUIRE(take_record(&envelope, &left, &value, &len) == 'F');
  if (logged_in && len) REQUIRE(len == strlen("ann@" ME) || !memcmp(value, "ann", 3));
}

void model_check_submission(void)
{
  int logged_in = 0;
  for (size_t i = 0; i < rec.nevents; i++) {
    struct event const *e = rec.events + i;
    if (e->kind == EVENT_REPLY) {
      int code = read_reply(e, 0);
      if (code == 235) logged_in = 1;
      if (says(e, "220 2.0.0")) logged_in = 0; /* STARTTLS */
      REQUIRE(code != 235 || rec.setup.tls);
    } else REQUIRE(logged_in || rec.setup.relay || e->kind == EVENT_ABORT);
    if (e->kind == EVENT_COMMIT) check_submitted(e, logged_in);
  }
}
