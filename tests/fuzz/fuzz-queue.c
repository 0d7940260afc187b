/* fuzz-queue.c - what lies in the queue: lib/envelope.c, qfile.c, received.c, and of send the
 * records, checksummed lines, states and the journal
 *
 * Input: a byte that says which, a byte that seeds the cuts, the bytes.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/stralloc.h>

#include "../../send/journal.h"
#include "../../send/lines.h"
#include "../../send/records.h"
#include "../../send/state.h"
#include "crc32c.h"
#include "envelope.h"
#include "fuzz.h"
#include "header.h"
#include "job.h"
#include "qfile.h"
#include "queuewire.h"
#include "received.h"

static int home;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  home = fuzz_home();
  if (mkdirat(home, "lock", 0755)) abort();
  return 0;
}

static void add(stralloc *sa, char const *s, size_t len)
{
  if (len && !stralloc_catb(sa, s, len)) abort();
}

/* --- envelopes --- */

static void take(struct envelope *e, char const *s, size_t len, uint32_t seed, size_t *used)
{
  *e = (struct envelope)ENVELOPE_ZERO;
  *used = 0;
  while (*used < len) {
    size_t n = fuzz_piece(&seed, len - *used);
    char *piece = fuzz_copy(s + *used, n);
    size_t m = envelope_take(e, piece, n);
    free(piece);
    REQUIRE(m <= n);
    *used += m;
    if (m < n || e->code || e->state == ENVELOPE_END) break;
  }
}

/* Is s[0..len) one good record, without its NUL? */
static int is_record(char const *s, size_t len)
{
  size_t eq = 0;
  if (!len || len > QFILE_ADDR_MAX) return 0;
  if (*s != 'X') return 1;
  while (1 + eq < len && s[1 + eq] &&
         strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                "0123456789-",
                s[1 + eq]))
    eq++;
  if (!eq || eq > ENVELOPE_NAME_MAX || 1 + eq == len || s[1 + eq] != '=') return 0;
  for (size_t i = 2 + eq; i < len; i++)
    if ((unsigned char)s[i] < 32 || s[i] == 127) return 0;
  return 1;
}

/* Is s[0..len) a whole envelope, with the number of its recipients? With or without the NUL
 * behind it; what follows that is not looked at. */
static int is_envelope(char const *s, size_t len, uint32_t *rcpts)
{
  struct fuzz f = { s, len };
  char before = 0;
  *rcpts = 0;
  while (f.len && (*f.s || !before)) {
    char const *nul = memchr(f.s, 0, f.len);
    if (!nul) return 0;
    struct fuzz r = fuzz_until(&f, 0);
    if (!is_record(r.s, r.len) || !strchr(before ? "XT" : "F", *r.s)) return 0;
    before = *r.s;
    *rcpts += before == 'T';
  }
  return before && !(before == 'X' && *rcpts);
}

/* What queued has taken, send reads in the same way. */
static void read_back(char const *s, size_t len, uint32_t rcpts)
{
  static struct records e;
  struct qfile q = { .msglen = 0, .envlen = len };
  char letter;
  char const *value;
  size_t n, pos = 0;
  uint32_t count = 0;
  stralloc file = STRALLOC_ZERO;
  char const header[QFILE_HEADER] = "";
  add(&file, header, sizeof header);
  add(&file, s, len);
  add(&file, "Told\0Tstuff", 11); /* of the message that was in the file before */
  records_open(&e, fuzz_memory(file.s, file.len), &q, 0);
  for (int r; (r = records_next(&e, &letter, &value, &n)); pos += n + 2) {
    REQUIRE(r == 1 && n + 2 <= len - pos && letter == s[pos]);
    REQUIRE(!memcmp(value, s + pos + 1, n + 1) && !value[n]);
    count += letter == 'T';
    REQUIRE(e.next == QFILE_HEADER + pos + n + 2);
  }
  REQUIRE(pos == len && count == rcpts);
  stralloc_free(&file);
}

static void test_envelope(char const *s, size_t len, uint32_t seed)
{
  struct envelope e, whole;
  uint32_t rcpts;
  size_t used, used2;
  int good = is_envelope(s, len, &rcpts);
  take(&e, s, len, seed, &used);
  whole = (struct envelope)ENVELOPE_ZERO;
  used2 = envelope_take(&whole, s, len);
  REQUIRE(envelope_check(&e) == envelope_check(&whole));
  REQUIRE((envelope_check(&e) == 0) == good);
  if (!good) return;
  REQUIRE(used == used2 && e.rcpts == rcpts && whole.rcpts == rcpts);
  REQUIRE(e.total == used - (e.state == ENVELOPE_END) && e.total == whole.total);
  read_back(s, e.total, rcpts);
}

/* Whatever lies there, reading it ends, and gives what lies there. */
static void test_records(char const *s, size_t len)
{
  static struct records e;
  struct fuzz f = { s, len };
  struct qfile q = { .msglen = fuzz_byte(&f), .envlen = fuzz_word(&f) >> 48 };
  int fd = fuzz_memory(s, len);
  char letter;
  char const *value;
  size_t n;
  uint64_t before;
  records_open(&e, fd, &q, 0);
  for (before = e.next; records_next(&e, &letter, &value, &n) == 1; before = e.next) {
    REQUIRE(n + 2 <= RECORD_MAX && strlen(value) == n && memchr("FXT", letter, 3));
    REQUIRE(e.next == before + n + 2 && e.next <= e.end && e.next <= len);
    REQUIRE(s[before] == letter && !memcmp(s + before + 1, value, n + 1));
  }
}

/* --- headers --- */

static void check_header(char const in[QFILE_HEADER])
{
  struct qfile q;
  char out[QFILE_HEADER];
  if (!qfile_unpack(&q, in)) return;
  REQUIRE(q.id && q.msglen <= QFILE_MSG_MAX && q.envlen <= QFILE_ENV_MAX);
  qfile_pack(out, &q);
  REQUIRE(!memcmp(in, out, QFILE_HEADER));
}

/* Write a header, read it, and see a changed bit in every byte of it but those of the state. */
static void test_header(struct fuzz f)
{
  struct qfile q = { .state = (uint32_t)fuzz_word(&f),
                     .id = fuzz_word(&f),
                     .birth = fuzz_word(&f),
                     .msglen = fuzz_word(&f) >> 23,
                     .envlen = fuzz_word(&f) >> 32,
                     .uid = (uint32_t)fuzz_word(&f),
                     .rcpts = (uint32_t)fuzz_word(&f),
                     .sum = (uint32_t)fuzz_word(&f) };
  struct qfile r;
  char out[QFILE_HEADER];
  for (size_t i = 0; i < QFILE_NONCE; i++) q.nonce[i] = (char)fuzz_byte(&f);
  qfile_pack(out, &q);
  int good = q.id && q.msglen <= QFILE_MSG_MAX && q.envlen <= QFILE_ENV_MAX;
  REQUIRE(qfile_unpack(&r, out) == good);
  if (!good) return;
  REQUIRE(r.state == q.state && r.id == q.id && r.birth == q.birth && r.msglen == q.msglen);
  REQUIRE(r.envlen == q.envlen && r.uid == q.uid && r.rcpts == q.rcpts && r.sum == q.sum);
  REQUIRE(!memcmp(r.nonce, q.nonce, QFILE_NONCE));
  unsigned int bit = fuzz_below(&f, 8);
  for (unsigned int i = 0; i < QFILE_HEADER; i++) {
    out[i] = (char)(out[i] ^ 1 << bit);
    REQUIRE(qfile_unpack(&r, out) == (i >= QFILE_STATE_AT && i < QFILE_STATE_AT + 4));
    out[i] = (char)(out[i] ^ 1 << bit);
  }
}

/* A file whose header may hold: with right sums, so that lengths are all that can be wrong. */
static void test_file(struct fuzz f)
{
  struct qfile q = { .state = QFILE_LIVE, .id = 1 + fuzz_word(&f) % 1000 };
  struct qfile r;
  char header[QFILE_HEADER];
  unsigned int lie = fuzz_byte(&f), msglen = fuzz_byte(&f), damage = (unsigned int)fuzz_word(&f);
  if (msglen > f.len) msglen = (unsigned int)f.len;
  q.msglen = msglen;
  q.envlen = f.len - msglen;
  q.sum = qfile_sum_add(qfile_sum_start(q.nonce), f.s, f.len);
  if (lie == 1) q.envlen++;
  if (lie == 2) q.msglen += QFILE_MSG_MAX - msglen;
  qfile_pack(header, &q);
  stralloc file = STRALLOC_ZERO;
  add(&file, header, sizeof header);
  add(&file, f.s, f.len);
  int broken = damage % 2 && f.len;
  if (broken) file.s[QFILE_HEADER + damage % f.len] ^= 1;
  int fd = fuzz_memory(file.s, file.len);
  REQUIRE(qfile_read(fd, &r) == !(lie == 1 || lie == 2));
  if (lie != 1 && lie != 2)
    REQUIRE(qfile_check_body(fd, &r) == !broken);
  else
    REQUIRE(qfile_check_body(fd, &r) == 0);
  stralloc_free(&file);
}

static void test_name(char const *s, size_t len)
{
  char name[32] = "", again[32];
  uint64_t id;
  memcpy(name, s, len < sizeof name - 1 ? len : sizeof name - 1);
  if (!qfile_scan_id(name, &id)) return;
  snprintf(again, sizeof again, "%llu", (unsigned long long)id);
  REQUIRE(!strcmp(name, again) && id);
}

/* --- the Received line --- */

static void test_received(char const *s, size_t len, uint32_t seed)
{
  char out[RECEIVED_MAX];
  size_t at;
  uint64_t id = seed * 1000000007u;
  time_t when = (time_t)(seed % 2 ? seed * 16777213ull : (uint64_t)-1 / (seed + 1));
  if (len > QUEUEWIRE_TRACE_MAX || !received_trace_ok(s, len)) return;
  size_t n = received_trace(out, s, len, id, when, &at);
  REQUIRE(n <= sizeof out && !memcmp(out, "Received: ", 10) && !memcmp(out + 10, s, len));
  char digits[24];
  int count = snprintf(digits, sizeof digits, "%llu;", (unsigned long long)id);
  REQUIRE(at + (size_t)count < n && !memcmp(out + at, digits, (size_t)count));
  struct header h = HEADER_ZERO(RECEIVED_MAX);
  struct header_field field;
  size_t pos = 0;
  REQUIRE(header_feed(&h, out, n) == (ssize_t)n && header_finish(&h) && h.len == n);
  REQUIRE(header_next(h.text.s, h.len, &pos, &field) && pos == n && field.namelen == 8);
  stralloc_free(&h.text);
}

/* --- lines --- */

static char const nonce[QFILE_NONCE] = "\x01\xff\n 0123456789a";

/* The next payload: no more than fits into a line, with what the journal puts before it. */
static size_t cut_line(struct fuzz *f, char const **payload)
{
  struct fuzz part = fuzz_until(f, '\n');
  *payload = part.s;
  return part.len < LINES_MAX - 100 ? part.len : LINES_MAX - 100;
}

/* Lines written are lines read; of a damaged file the lines before the damage. */
static void test_lines(char const *s, size_t len, uint32_t seed)
{
  static struct lines l;
  stralloc file = STRALLOC_ZERO;
  struct fuzz f = { s, len }, again = f;
  char const *payload, *got;
  size_t n, gotlen, written = 0;
  REQUIRE(lines_title(&file, STATE_TITLE, nonce));
  size_t title = file.len;
  while (f.len) {
    n = cut_line(&f, &payload);
    REQUIRE(lines_add(&file, nonce, payload, n));
    written++;
  }
  size_t bad = file.len, damage = seed ? seed * 2654435761u % file.len : file.len;
  if (damage < bad) {
    file.s[damage] ^= 4;
    bad = damage;
  }
  int r = lines_open(&l, fuzz_memory(file.s, file.len), STATE_TITLE);
  REQUIRE(r == 1 || (bad < title && r == 0));
  if (r == 1 && bad >= title) REQUIRE(!memcmp(l.nonce, nonce, QFILE_NONCE));
  size_t whole = title, read = 0;
  while (r == 1 && (r = lines_next(&l, &got, &gotlen)) == 1) {
    REQUIRE(again.len && bad >= title);
    n = cut_line(&again, &payload);
    REQUIRE(gotlen == n && (!n || !memcmp(got, payload, n)));
    whole += 10 + n;
    read++;
    REQUIRE(whole <= bad && l.good == whole);
  }
  REQUIRE(r == 0 && (bad < file.len || read == written));
  stralloc_free(&file);
}

/* --- states --- */

/* Write what was tried for four recipients, as the input says, and read it. */
static void test_state(struct fuzz f)
{
  enum { RCPTS = 4 };
  stralloc file = STRALLOC_ZERO, line = STRALLOC_ZERO, text = STRALLOC_ZERO;
  struct state_rcpt expected[RCPTS] = { { 0 } };
  struct state st = STATE_ZERO;
  uint64_t run = 7, bounced = 0;
  uint32_t rcpt, arrived = 0, delayed = 0;
  struct state_report got;
  REQUIRE(lines_title(&file, STATE_TITLE, nonce));
  while (f.len > 1) {
    rcpt = fuzz_below(&f, RCPTS + 1);
    struct state_rcpt *e = expected + rcpt;
    line.len = text.len = 0;
    switch (fuzz_below(&f, 5)) {
    case 0:
      REQUIRE(state_put_done(&line, rcpt));
      if (rcpt < RCPTS && !e->fate) e->fate = STATE_DONE;
      break;
    case 1: {
      struct fuzz why = fuzz_until(&f, 0);
      if (why.len > JOB_TEXT_MAX) why.len = JOB_TEXT_MAX;
      struct state_report report = { rcpt, (uint32_t)fuzz_word(&f), "fdrew"[fuzz_below(&f, 5)] };
      REQUIRE(state_put_report(&line, &report, why.s, why.len));
      REQUIRE(!memchr(line.s, '\n', line.len));
      REQUIRE(state_get_report(line.s, line.len, &got, &text) == 1 && got.rcpt == rcpt);
      REQUIRE(got.when == report.when && got.action == report.action);
      REQUIRE(text.len == why.len && (!why.len || !memcmp(text.s, why.s, why.len)));
      if (rcpt == RCPTS) break;
      if (report.action == STATE_ACT_DELAYED) {
        delayed += !e->warned;
        e->warned = 1;
      } else if (!e->fate) {
        e->fate = report.action == STATE_ACT_FAILED ? STATE_FAILED : STATE_DONE;
        arrived += e->fate == STATE_DONE;
      }
      break;
    }
    case 2: {
      struct state_rcpt again = { .when = (uint32_t)fuzz_word(&f),
                                  .age = (uint32_t)fuzz_word(&f),
                                  .wait = (uint32_t)fuzz_word(&f),
                                  .attempts = (uint16_t)fuzz_word(&f) };
      uint64_t which = run + fuzz_below(&f, 2);
      REQUIRE(state_put_again(&line, rcpt, which, &again));
      if (which != run) again.attempts = 0;
      if (rcpt < RCPTS) {
        again.fate = e->fate;
        again.warned = e->warned;
        *e = again;
      }
      break;
    }
    case 3:
      delayed = 0;
      REQUIRE(state_put_told(&line, fuzz_word(&f) / 10));
      break;
    default: bounced = fuzz_word(&f) / 10; REQUIRE(state_put_bounced(&line, bounced));
    }
    REQUIRE(lines_add(&file, nonce, line.s, line.len));
  }
  REQUIRE(state_read(&st, fuzz_memory(file.s, file.len), nonce, RCPTS, run) == 1);
  REQUIRE(st.count == RCPTS && st.bounced == bounced);
  uint32_t failed = 0;
  for (size_t i = 0; i < RCPTS; i++) {
    struct state_rcpt const *e = expected + i, *r = st.rcpts + i;
    REQUIRE(r->fate == e->fate && r->when == e->when && r->age == e->age && r->wait == e->wait);
    REQUIRE(r->attempts == e->attempts && r->warned == e->warned);
    failed += e->fate == STATE_FAILED;
  }
  REQUIRE(st.failed == failed && st.arrived == arrived && st.delayed == delayed);
  state_free(&st);
  stralloc_free(&file);
  stralloc_free(&line);
  stralloc_free(&text);
}

/* Any lines with right sums: nothing in them may hurt. */
static void test_strange_state(char const *s, size_t len)
{
  stralloc file = STRALLOC_ZERO, text = STRALLOC_ZERO;
  struct state st = STATE_ZERO;
  struct fuzz f = { s, len };
  struct state_report report;
  uint32_t done;
  char const *payload;
  REQUIRE(lines_title(&file, STATE_TITLE, nonce));
  while (f.len) {
    size_t n = cut_line(&f, &payload);
    REQUIRE(lines_add(&file, nonce, payload, n));
    char *copy = fuzz_copy(payload, n);
    REQUIRE(!state_get_report(copy, n, &report, &text) || !state_get_done(copy, n, &done));
    free(copy);
  }
  REQUIRE(state_read(&st, fuzz_memory(file.s, file.len), nonce, 3, 1) == 1);
  uint32_t failed = 0;
  for (size_t i = 0; i < 3; i++) failed += st.rcpts[i].fate == STATE_FAILED;
  REQUIRE(st.failed == failed);
  state_free(&st);
  stralloc_free(&file);
  stralloc_free(&text);
}

/* --- the journal --- */

struct shown {
  struct fuzz lines; /* what was noted */
  int any;           /* more is shown than was noted in this run */
};

static int on_line(void *data, char letter, uint64_t id, char const *n, char const *payload,
                   size_t len)
{
  struct shown *shown = data;
  char const *expected;
  if (shown->any) return shown->any < 100 ? ++shown->any : 0;
  size_t linelen = cut_line(&shown->lines, &expected);
  REQUIRE(id == linelen && letter == (linelen % 2 ? 'e' : 's') && !memcmp(n, nonce, QFILE_NONCE));
  if (letter == 's')
    REQUIRE(len == linelen && (!len || !memcmp(payload, expected, len)));
  else
    REQUIRE(!len);
  return 1;
}

static void test_journal(char const *s, size_t len)
{
  struct journal j = JOURNAL_ZERO;
  struct fuzz f = { s, len };
  struct shown shown = { .any = 1 };
  char const *payload;
  journal_open(&j, home, on_line, &shown);
  REQUIRE(j.fd != -1 && journal_renew(&j));
  while (f.len) {
    size_t n = cut_line(&f, &payload);
    REQUIRE(n % 2 ? journal_ended(&j, n, nonce) : journal_state(&j, n, nonce, payload, n));
  }
  int full = j.end + j.pending.len > JOURNAL_MAX; /* then it begins anew, and all is on disk */
  REQUIRE(journal_sync(&j) && !j.pending.len);
  close(j.fd);
  shown = (struct shown){ .lines = { s, full ? 0 : len } };
  REQUIRE(journal_open(&j, home, on_line, &shown) && !shown.lines.len);
  close(j.fd);
  stralloc_free(&j.pending);
}

/* A journal of any lines, whose sums hold. */
static void test_strange_journal(char const *s, size_t len)
{
  struct journal j = JOURNAL_ZERO;
  stralloc file = STRALLOC_ZERO;
  struct fuzz f = { s, len };
  struct shown shown = { .any = 1 };
  char const *payload;
  REQUIRE(lines_title(&file, "pipit-journal-1", nonce));
  while (f.len) {
    size_t n = cut_line(&f, &payload);
    REQUIRE(lines_add(&file, nonce, payload, n));
  }
  fuzz_file(home, JOURNAL_NAME, file.s, file.len);
  journal_open(&j, home, on_line, &shown);
  close(j.fd);
  stralloc_free(&file);
}

extern int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd)
{
  return fd < 0;
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  struct fuzz f = { (char const *)in, inlen };
  unsigned int which = fuzz_byte(&f);
  uint32_t seed = fuzz_byte(&f);
  size_t len;
  char *s = fuzz_unpack(f, &len);
  struct fuzz copy = { s, len };
  switch (which % 12) {
  case 0: test_envelope(s, len, seed); break;
  case 1: test_records(s, len); break;
  case 2: test_header(copy); break;
  case 3: test_file(copy); break;
  case 4: test_received(s, len, seed); break;
  case 5: test_lines(s, len, seed); break;
  case 6: test_state(copy); break;
  case 7: test_strange_state(s, len); break;
  case 8: test_journal(s, len); break;
  case 9: test_strange_journal(s, len); break;
  case 10: test_name(s, len); break;
  default:
    if (len >= QFILE_HEADER) check_header(s);
  }
  free(s);
  return 0;
}
