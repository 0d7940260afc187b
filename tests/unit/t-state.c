/* t-state.c - state files and their lines: what is written is read, torn or not */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "../../send/lines.h"
#include "../../send/state.h"

#define RUN 77

static char const nonce[QFILE_NONCE + 1] = "0123456789abcdef";
static char const other[QFILE_NONCE + 1] = "0123456789abcdeF";

static int make_file(stralloc const *sa, size_t len)
{
  int fd = open("state", O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd == -1 || write(fd, sa->s, len) != (ssize_t)len) _exit(111);
  return fd;
}

static void add(stralloc *file, stralloc *payload)
{
  if (!lines_add(file, nonce, payload->s, payload->len)) _exit(111);
  payload->len = 0;
}

static void put(stralloc *p, uint32_t rcpt, char action, char const *text, size_t len)
{
  struct state_report const r = { .rcpt = rcpt, .when = 1800000001, .action = action };
  state_put_report(p, &r, text, len);
}

static void build(stralloc *file)
{
  stralloc p = STRALLOC_ZERO;
  struct state_rcpt r = { .when = 1800000000, .age = 5, .wait = 400, .attempts = 3 };
  lines_title(file, STATE_TITLE, nonce);
  state_put_done(&p, 1);
  add(file, &p);
  state_put_again(&p, 2, RUN, &r);
  add(file, &p);
  state_put_again(&p, 3, RUN + 1, &r);
  add(file, &p);
  put(&p, 4, STATE_ACT_FAILED, "a\\b\nno\\n", 8);
  add(file, &p);
  put(&p, 0, STATE_ACT_FAILED, "", 0);
  add(file, &p);
  stralloc_free(&p);
}

static void check_whole(stralloc const *file)
{
  struct state st = STATE_ZERO;
  int fd = make_file(file, file->len);
  check(state_read(&st, fd, nonce, 5, RUN) == 1, "a state file is read");
  check(st.rcpts[1].fate == STATE_DONE && st.rcpts[4].fate == STATE_FAILED &&
            st.rcpts[0].fate == STATE_FAILED && st.rcpts[2].fate == STATE_OPEN && st.failed == 2,
        "what became of each recipient");
  check(st.rcpts[2].when == 1800000000 && st.rcpts[2].age == 5 && st.rcpts[2].wait == 400 &&
            st.rcpts[2].attempts == 3, "when one is to be tried again");
  check(st.rcpts[3].when == 1800000000 && st.rcpts[3].attempts == 0,
        "attempts of another run do not count");
  state_free(&st);
  check(state_read(&st, fd, nonce, 2, RUN) == 1 && st.failed == 1,
        "recipients that the message has not are left out");
  state_free(&st);
  check(state_read(&st, fd, other, 5, RUN) == 0 && !st.rcpts, "another nonce: another message's");
  close(fd);
}

/* Cut at every byte: never an error, never more than was there. */
static void check_torn(stralloc const *file)
{
  int ok = 1;
  int last = -1;
  for (size_t len = 0; len <= file->len; len++) {
    struct state st = STATE_ZERO;
    int fd = make_file(file, len);
    int r = state_read(&st, fd, nonce, 5, RUN);
    int known = 0;
    for (uint32_t i = 0; i < st.count; i++)
      known += st.rcpts[i].fate != STATE_OPEN || st.rcpts[i].when;
    if (r == -1 || known < last || (len < file->len && known == 5)) ok = 0;
    last = known;
    state_free(&st);
    close(fd);
  }
  check(ok && last == 5, "cut off at any byte: the lines before it count");
}

static void check_damaged(stralloc *file)
{
  struct state st = STATE_ZERO;
  size_t at = file->len - 3; /* in the last line */
  file->s[at] ^= 1;
  int fd = make_file(file, file->len);
  check(state_read(&st, fd, nonce, 5, RUN) == 1 && st.rcpts[0].fate == STATE_OPEN &&
            st.rcpts[4].fate == STATE_FAILED, "a changed line ends the file");
  file->s[at] ^= 1;
  state_free(&st);
  close(fd);
}

/* New lines over an old, longer file, as when it is used again. */
static void check_reused(stralloc const *file)
{
  struct state st = STATE_ZERO;
  stralloc fresh = STRALLOC_ZERO;
  stralloc p = STRALLOC_ZERO;
  int fd = make_file(file, file->len);
  lines_title(&fresh, STATE_TITLE, other);
  state_put_done(&p, 3);
  lines_add(&fresh, other, p.s, p.len);
  if (pwrite(fd, fresh.s, fresh.len, 0) != (ssize_t)fresh.len) _exit(111);
  check(state_read(&st, fd, other, 5, RUN) == 1 && st.rcpts[3].fate == STATE_DONE && !st.failed &&
            st.rcpts[1].fate == STATE_OPEN, "an older file's lines do not count for the new one");
  state_free(&st);
  stralloc_free(&fresh);
  stralloc_free(&p);
  close(fd);
}

static void check_text(stralloc const *file)
{
  struct lines l;
  stralloc text = STRALLOC_ZERO;
  char const *s;
  size_t len;
  struct state_report report = { .rcpt = 99 };
  int found = 0;
  int fd = make_file(file, file->len);
  int r = lines_open(&l, fd, STATE_TITLE);
  while (r == 1 && (r = lines_next(&l, &s, &len)) == 1)
    if (!found) found = state_get_report(s, len, &report, &text);
  check(found == 1 && report.rcpt == 4 && report.action == STATE_ACT_FAILED &&
            report.when == 1800000001 && text.len == 8 && !memcmp(text.s, "a\\b\nno\\n", 8),
        "a failure's text comes back as it was");
  check(l.good == file->len, "the end of the good lines is known");
  stralloc_free(&text);
  close(fd);
}

static struct {
  char const *why, *payload;
  int result;
  uint32_t rcpt, when;
  char action;
  char const *text;
} const payloads[] = {
  { "an older failure", "f 7 no\\nway", 1, 7, 0, STATE_ACT_FAILED, "no\nway" },
  { "an older failure without a text", "f 7 ", 1, 7, 0, STATE_ACT_FAILED, "" },
  { "a delay", "r 1 w 99 late", 1, 1, 99, STATE_ACT_DELAYED, "late" },
  { "an action that is none", "r 1 x 99 late", 0, 0, 0, 0, 0 },
  { "no time", "r 1 d late", 0, 0, 0, 0, 0 },
  { "cut off behind the action", "r 1 d", 0, 0, 0, 0, 0 },
  { "a recipient that is too large", "r 4294967296 d 1 x", 0, 0, 0, 0, 0 },
  { "another line", "d 1", 0, 0, 0, 0, 0 },
};

static void check_payloads(void)
{
  for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
    stralloc text = STRALLOC_ZERO;
    struct state_report r;
    char const *s = payloads[i].payload;
    int got = state_get_report(s, strlen(s), &r, &text);
    check(got == payloads[i].result &&
              (!got || (r.rcpt == payloads[i].rcpt && r.when == payloads[i].when &&
                        r.action == payloads[i].action && text.len == strlen(payloads[i].text) &&
                        !memcmp(text.s, payloads[i].text, text.len))),
          payloads[i].why);
    stralloc_free(&text);
  }
}

/* What the sender is to be told, and was. */
static void check_reports(void)
{
  struct state st = STATE_ZERO;
  stralloc file = STRALLOC_ZERO, p = STRALLOC_ZERO;
  lines_title(&file, STATE_TITLE, nonce);
  put(&p, 0, STATE_ACT_DELAYED, "late\n", 5);
  add(&file, &p);
  state_put_told(&p, 1234);
  add(&file, &p);
  put(&p, 1, STATE_ACT_DELAYED, "late\n", 5);
  add(&file, &p);
  put(&p, 2, STATE_ACT_RELAYED, "ok\n", 3);
  add(&file, &p);
  put(&p, 2, STATE_ACT_RELAYED, "ok\n", 3);
  add(&file, &p);
  int fd = make_file(&file, file.len);
  check(state_read(&st, fd, nonce, 4, RUN) == 1 && st.rcpts[0].warned && st.rcpts[1].warned &&
            !st.rcpts[2].warned && st.delayed == 1,
        "of two delays one was told already");
  check(st.rcpts[2].fate == STATE_DONE && st.arrived == 1 && !st.failed &&
            st.rcpts[0].fate == STATE_OPEN,
        "a success to be told is a success, and counts once");
  state_free(&st);
  stralloc_free(&file);
  stralloc_free(&p);
  close(fd);
}

/* What deliveries have done so far. */
static void check_sofar(void)
{
  static char const *const texts[] = { "0123.", "", "0123.4567!" };
  struct state st = STATE_ZERO;
  stralloc file = STRALLOC_ZERO, p = STRALLOC_ZERO;
  lines_title(&file, STATE_TITLE, nonce);
  for (size_t i = 0; i < 3; i++) {
    state_put_sofar(&p, 1, texts[i], strlen(texts[i]));
    add(&file, &p);
  }
  state_put_sofar(&p, 2, "x", 1);
  add(&file, &p);
  state_put_sofar(&p, 9, "x", 1);
  add(&file, &p);
  stralloc_cats(&p, "p x y");
  add(&file, &p);
  int fd = make_file(&file, file.len);
  check(state_read(&st, fd, nonce, 4, RUN) == 1 && !state_sofar(&st, st.rcpts) &&
            !strcmp(state_sofar(&st, st.rcpts + 1), texts[2]) &&
            !strcmp(state_sofar(&st, st.rcpts + 2), "x") && st.rcpts[1].fate == STATE_OPEN,
        "the last text of each recipient counts");
  state_free(&st);
  stralloc_free(&file);
  stralloc_free(&p);
  close(fd);
}

static void check_long(void)
{
  static char big[LINES_MAX];
  stralloc out = STRALLOC_ZERO;
  memset(big, 'x', sizeof big);
  check(!lines_add(&out, nonce, big, sizeof big) && !out.len, "a line over the limit is refused");
  lines_title(&out, STATE_TITLE, nonce);
  for (int i = 0; i < 5; i++) lines_add(&out, nonce, big, LINES_MAX - 10);
  int fd = make_file(&out, out.len);
  struct lines l;
  char const *s;
  size_t len;
  int n = 0;
  if (lines_open(&l, fd, STATE_TITLE) == 1)
    while (lines_next(&l, &s, &len) == 1 && len == LINES_MAX - 10) n++;
  check(n == 5, "lines of the limit are read");
  close(fd);
  stralloc_free(&out);
}

int main(void)
{
  stralloc file = STRALLOC_ZERO;
  char const *scratch = getenv("SCRATCH");
  if (!scratch || chdir(scratch) == -1) return 111;
  build(&file);
  check_whole(&file);
  check_torn(&file);
  check_damaged(&file);
  check_reused(&file);
  check_text(&file);
  check_payloads();
  check_reports();
  check_sofar();
  check_long();
  size_t pos = 0;
  uint64_t n;
  check(!lines_number("99999999999999999999999", 23, &pos, &n), "a number that is too large is none");
  return check_done();
}
