/* fuzz-job.c - what the parts of send tell each other: lib/job.c, reports of QMAILREMOTE programs
 * (send/rprogram.c), bounces (send/bounce_text.c), lib/logline.c, commands and answers (lib/sendwire.c)
 *
 * Input: a byte that says which, then the bytes.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/stralloc.h>

#include "../../send/bounce.h"
#include "../../send/rprogram.h"
#include "../../send/rworker.h"
#include "../../send/state.h"
#include "crc32c.h"
#include "fuzz.h"
#include "job.h"
#include "logline.h"
#include "sendwire.h"

static int sockets[2], file = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  file = open("/dev/null", O_RDWR | O_CLOEXEC);
  return file == -1 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets);
}

/* --- packets --- */

static void send_raw(char const *s, size_t len, int fd)
{
  union {
    struct cmsghdr align;
    char s[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec v = { (void *)(size_t)s, len };
  struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
  if (fd != -1) {
    memset(&control, 0, sizeof control);
    m.msg_control = control.s;
    m.msg_controllen = sizeof control.s;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  if (sendmsg(sockets[0], &m, 0) != (ssize_t)len) abort();
}

/* A string inside of the packet. */
static int is_string(struct job_packet const *p, char const *s, size_t len)
{
  return s >= p->buf && s < p->buf + len && memchr(s, 0, (size_t)(p->buf + len - s));
}

/* Those of each recipient lie in the job, behind the message's, and do not overlap. */
static void check_extras(struct job const *j)
{
  size_t len, pos = 0, last;
  REQUIRE(job_message_extras(j, &len) == j->extras && len <= j->extraslen);
  last = len;
  for (uint32_t i = 0; i < j->nrcpts; i++) {
    char const *s = job_rcpt_extras(j, i, &pos, &len);
    if (!len) continue;
    REQUIRE((size_t)(s - j->extras) > last && (size_t)(s - j->extras) + len <= j->extraslen);
    REQUIRE(!s[len - 1] && *s != '#');
    last = (size_t)(s - j->extras) + len;
  }
}

static void check_job(struct job_packet const *p, size_t len)
{
  struct job const *j = &p->job;
  REQUIRE((j->fd == -1) == (p->type == 'M') && !j->body == (p->type == 'J'));
  REQUIRE(j->nrcpts && j->nrcpts <= JOB_RCPTS_MAX);
  if (j->body) {
    REQUIRE(j->length <= len && j->body == p->buf + len - j->length);
    len -= j->length;
  }
  REQUIRE(is_string(p, j->host, len) && is_string(p, j->sender, len));
  REQUIRE(j->extras >= p->buf && j->extras + j->extraslen <= p->buf + len);
  REQUIRE(!j->extraslen || !j->extras[j->extraslen - 1]);
  REQUIRE(j->rcpts + j->rcptslen == p->buf + len && !p->buf[len - 1]);
  uint32_t n = 0;
  for (size_t i = 0; i < j->rcptslen; i += strlen(j->rcpts + i) + 1) n++;
  REQUIRE(n == j->nrcpts);
  check_extras(j);
}

/* A packet of any bytes is refused, or means what it would mean if it were written again. */
static void test_packet(char const *s, size_t len, int with_fd)
{
  static struct job_packet p, again;
  if (!len) return;
  send_raw(s, len, with_fd ? file : -1);
  int r = job_recv(sockets[1], &p);
  REQUIRE(r == 1 || (r == -1 && errno == EPROTO));
  if (r != 1) {
    REQUIRE(p.job.fd == -1);
    return;
  }
  REQUIRE((p.job.fd != -1) == with_fd && (p.type == 'J') == with_fd);
  switch (p.type) {
  case 'J':
  case 'M':
    check_job(&p, len);
    REQUIRE(job_send(sockets[0], &p.job) == 1);
    if (p.job.fd != -1) close(p.job.fd);
    break;
  case 'R':
    REQUIRE(len >= 10 && p.textlen == (len - 10 < JOB_TEXT_MAX ? len - 10 : JOB_TEXT_MAX));
    REQUIRE(p.text == p.buf + 10);
    REQUIRE(job_send_result(sockets[0], p.num, p.index, p.letter, p.text, p.textlen) == 1);
    break;
  case 'N':
    REQUIRE(p.text == p.buf + 10 && p.textlen <= JOB_SOFAR_MAX && 10 + p.textlen == len);
    REQUIRE(p.letter == JOB_SOFAR || !p.textlen);
    for (size_t i = 0; i < p.textlen; i++) REQUIRE(p.text[i] > 32 && p.text[i] < 127);
    REQUIRE((p.letter == JOB_SOFAR
                 ? job_send_sofar(sockets[0], p.num, p.index, p.text, p.textlen)
                 : job_send_note(sockets[0], p.num, p.index, p.letter)) == 1);
    break;
  case 'G':
    REQUIRE(p.textlen && p.textlen <= JOB_GROUP_MAX && p.text + p.textlen == p.buf + len);
    for (size_t i = 0; i < p.textlen; i++) REQUIRE(p.text[i] > 32 && p.text[i] < 127);
    REQUIRE(job_send_group(sockets[0], p.num, p.text, p.textlen) == 1);
    break;
  case 'C':
    REQUIRE((p.letter == JOB_HOST || p.letter == JOB_NAMES || p.letter == JOB_LOGIN) && p.text + p.textlen == p.buf + len);
    REQUIRE(job_send_class(sockets[0], p.num, p.letter, p.text, p.textlen) == 1);
    break;
  case 'T':
    REQUIRE(p.textlen && p.textlen <= JOB_TLS_MAX && p.text + p.textlen == p.buf + len);
    for (size_t i = 0; i < p.textlen; i++) REQUIRE(p.text[i] >= 32 && p.text[i] < 127);
    REQUIRE(job_send_tls(sockets[0], p.num, p.text, p.textlen) == 1);
    break;
  case 'E': REQUIRE(job_send_end(sockets[0], p.num) == 1); break;
  case 'A': REQUIRE(job_send_ahead(sockets[0], p.max) == 1); break;
  default: REQUIRE(p.type == 'H' && job_send_hello(sockets[0], p.max) == 1);
  }
  REQUIRE(job_recv(sockets[1], &again) == 1 && again.type == p.type);
  if (again.job.fd != -1) close(again.job.fd);
  size_t used = p.type == 'R' ? 10 + p.textlen : len;
  REQUIRE(!memcmp(again.buf, s, used));
  REQUIRE(job_recv(sockets[1], &again) == 0);
}

/* --- reports of a QMAILREMOTE program --- */

struct results {
  char letters[8];
  int ended;
};
static struct results results;

int rslot_result(struct rspawn *r, struct rslot *s, uint32_t index, char letter, char const *text,
                 size_t len)
{
  (void)r;
  REQUIRE(index < s->jobs->nrcpts && !results.letters[index] && memchr("KZD", letter, 3) &&
          !results.ended);
  for (size_t i = 0; i < len; i++) REQUIRE(text[i] == '\n' || (text[i] >= 32 && text[i] < 127));
  results.letters[index] = letter;
  return 1;
}

int rslot_note(struct rspawn *r, struct rslot *s, uint32_t index, char note)
{
  (void)r, (void)s, (void)index, (void)note;
  return 1;
}

void rslot_end(struct rspawn *r, struct rslot *s, char const *text)
{
  (void)r, (void)s;
  REQUIRE(text && *text && !results.ended);
  results.ended = 1;
}

void rslot_refuse(struct rspawn *r, struct job const *j, char const *text)
{
  (void)r, (void)j, (void)text;
}

void rslot_add(struct rslot *s, struct job const *j)
{
  (void)s, (void)j;
}

struct rslot *rworker_free_slot(struct rspawn *r)
{
  (void)r;
  return 0;
}

uint32_t rworker_count(struct rspawn const *r)
{
  (void)r;
  return 0;
}

/* What qmail-rspawn would make of it: parts before the one that begins with K, Z or D. */
static void expect(struct results *e, uint32_t nrcpts, char const *s, size_t len)
{
  char message = 0;
  struct fuzz f = { s, len };
  while (f.len && memchr(f.s, 0, f.len) && !message) {
    struct fuzz part = fuzz_until(&f, 0);
    if (part.len && memchr("KZD", *part.s, 3)) message = *part.s;
  }
  f = (struct fuzz){ s, len };
  for (uint32_t i = 0; i < nrcpts && message && f.len; i++) {
    struct fuzz part = fuzz_until(&f, 0);
    char first = part.len ? *part.s : 0;
    if (first && memchr("KZD", first, 3)) return;
    if (first == 'h') e->letters[i] = 'D';
    if (first == 's') e->letters[i] = 'Z';
    if (first == 'r') e->letters[i] = message;
  }
}

static void test_report(unsigned int options, char const *s, size_t len)
{
  struct rspawn spawn = { .send = -1 };
  struct rslot slot = {
    .state = RSLOT_PROGRAM, .fd = -1, .jobs = { { .nrcpts = 1 + options % 4 } },
    .report = STRALLOC_ZERO
  };
  struct results expected = { { 0 }, 1 };
  slot.status = options & 16 ? 9 : options & 32 ? 111 << 8 : 0;
  if (!slot.status) expect(&expected, slot.jobs->nrcpts, s, len);
  if (len && !stralloc_catb(&slot.report, s, len)) abort();
  memset(&results, 0, sizeof results);
  rprogram_exited(&spawn, &slot);
  REQUIRE(!memcmp(&results, &expected, sizeof results) && slot.state == RSLOT_FREE);
  stralloc_free(&slot.report);
}

/* --- bounces --- */

static void set(stralloc *sa, struct fuzz f)
{
  if (!stralloc_copyb(sa, f.s, f.len) || !stralloc_0(sa)) abort();
  sa->len--;
}

static void sets(stralloc *sa, char const *s)
{
  if (!stralloc_copys(sa, s) || !stralloc_0(sa)) abort();
  sa->len--;
}

static struct fuzz take_address(struct fuzz *f)
{
  struct fuzz part = fuzz_until(f, 0);
  if (part.len > QFILE_ADDR_MAX - 1) part.len = QFILE_ADDR_MAX - 1;
  return part;
}

/* The names of the fields at s[0..len), up to the empty line; where that ends. */
static size_t check_fields(char const *s, size_t len, char const *const *names)
{
  size_t at = 0;
  for (; *names; names++) {
    size_t n = strlen(*names);
    REQUIRE(len - at > n + 2 && !memcmp(s + at, *names, n) && s[at + n] == ':');
    do {
      char const *nl = memchr(s + at, '\n', len - at);
      REQUIRE(nl);
      at = (size_t)(nl - s) + 1;
    } while (at < len && s[at] == ' ');
  }
  REQUIRE(at < len && s[at] == '\n');
  return at + 1;
}

static void check_lines(char const *s, size_t len)
{
  size_t column = 0;
  for (size_t i = 0; i < len; i++) {
    column = s[i] == '\n' ? 0 : column + 1;
    REQUIRE(column <= 998 && s[i] && s[i] != '\r' && s[i] != 127);
    REQUIRE((unsigned char)s[i] >= 32 || s[i] == '\n');
  }
}

/* The fields of a recipient. */
static void expect_fields(char const **names, struct bounce const *b, struct bounce_rcpt const *r)
{
  char const *text = b->bytes.s + r->text, *orcpt = b->bytes.s + r->orcpt;
  size_t const tail = sizeof BOUNCE_TOO_LONG - 1;
  size_t where, len = r->textlen;
  int good = r->action != STATE_ACT_FAILED && r->action != STATE_ACT_DELAYED;
  if (len >= tail && !memcmp(text + len - tail, BOUNCE_TOO_LONG, tail)) len -= tail;
  else if (bounce_until(text, len, &where)) len = where - (sizeof BOUNCE_UNTIL - 1);
  if (r->orcpt && dsn_orcpt_type(orcpt, strlen(orcpt))) *names++ = "Original-Recipient";
  *names++ = "Final-Recipient";
  *names++ = "Action";
  *names++ = "Status";
  int told = !good || bounce_said(text, len, &where);
  if (told && (bounce_host(text, len, &where) || bounce_remote(text, len, &where))) *names++ = "Remote-MTA";
  if (told) *names++ = "Diagnostic-Code";
  if (r->when) *names++ = "Last-Attempt-Date";
  if (r->action == STATE_ACT_DELAYED && bounce_until(text, r->textlen, &where))
    *names++ = "Will-Retry-Until";
  *names = 0;
}

/* Whatever addresses, wishes and servers' words are in it, the parts of a report and their fields
 * stay what they are. */
static void test_bounce(struct fuzz f)
{
  static char const *const header[] = { "Date",         "From",         "To",
                                        "Subject",      "Message-ID",   "Auto-Submitted",
                                        "MIME-Version", "Content-Type", 0 };
  static char const *const whole[] = { "Original-Envelope-Id", "Reporting-MTA", "Arrival-Date",
                                       0 };
  char mark[24];
  /* As good as random, to one who writes the input. */
  size_t marklen = (size_t)snprintf(mark, sizeof mark, "\n--=_%08x", crc32c(0, f.s, f.len));
  struct bounce b;
  struct bounce_rcpt rcpts[3];
  stralloc out = STRALLOC_ZERO;
  memset(&b, 0, sizeof b);
  set(&b.sender, take_address(&f));
  set(&b.to, take_address(&f));
  sets(&b.from, "MAILER-DAEMON");
  sets(&b.host, "me.example");
  sets(&b.copy, "Subject: x\n\ntext\n");
  set(&b.envid, take_address(&f));
  b.rcpts = rcpts;
  for (b.count = 0; b.count < 3 && f.len; b.count++) {
    struct bounce_rcpt *x = rcpts + b.count;
    char action = "fdrew"[fuzz_below(&f, 5)];
    struct fuzz addr = take_address(&f), text = fuzz_until(&f, 0), orcpt = take_address(&f);
    *x = (struct bounce_rcpt){ .index = (uint32_t)b.count, .action = action, .when = b.count % 2,
                               .addr = b.bytes.len };
    if (!stralloc_catb(&b.bytes, addr.s, addr.len) || !stralloc_0(&b.bytes)) abort();
    x->text = b.bytes.len;
    x->textlen = text.len;
    if (!stralloc_catb(&b.bytes, text.s, text.len) || !stralloc_0(&b.bytes)) abort();
    if (orcpt.len) x->orcpt = b.bytes.len;
    if (!stralloc_catb(&b.bytes, orcpt.s, orcpt.len) || !stralloc_0(&b.bytes)) abort();
    b.failed += action == STATE_ACT_FAILED;
  }
  REQUIRE(bounce_write(&b, &out, mark + 3, 17, 1700000000));
  check_lines(out.s, out.len);
  size_t at = check_fields(out.s, out.len, header), parts = 0, status = 0;
  for (char const *p = out.s + at - 1;
       (p = memmem(p, out.len - (size_t)(p - out.s), mark, marklen)); p++)
    if (parts++ == 1) status = (size_t)(p - out.s) + marklen;
  REQUIRE(parts == 4 && status);
  char const *text = memmem(out.s + status, out.len - status, "\n\n", 2);
  at = (size_t)(text - out.s) + 2;
  int envid = dsn_xtext_decode(0, b.envid.s, b.envid.len) == 1 && b.envid.len;
  at += check_fields(out.s + at, out.len - at, whole + !envid);
  for (size_t i = 0; i < b.count; i++) {
    char const *names[10];
    expect_fields(names, &b, rcpts + i);
    at += check_fields(out.s + at, out.len - at, names);
  }
  REQUIRE(!memcmp(out.s + at - 1, mark, marklen));
  stralloc_free(&b.sender), stralloc_free(&b.to), stralloc_free(&b.from), stralloc_free(&b.host);
  stralloc_free(&b.copy), stralloc_free(&b.bytes), stralloc_free(&b.envid), stralloc_free(&out);
}

/* --- log lines --- */

/* Read the value at s[0..len) back; its length, and what was used in <*used>. */
static size_t unquote(char *out, char const *s, size_t len, size_t *used)
{
  size_t n = 0, i = 0;
  if (!len || *s != '"') {
    while (i < len && s[i] != ' ') out[n++] = s[i++];
    return *used = i, n;
  }
  for (i = 1; i < len && s[i] != '"'; i++) {
    if (s[i] != '\\')
      out[n++] = s[i];
    else if (s[++i] != 'x')
      out[n++] = s[i];
    else {
      char const hex[3] = { s[i + 1], s[i + 2], 0 };
      out[n++] = (char)strtol(hex, 0, 16);
      i += 2;
    }
  }
  return *used = i + 1, n;
}

static void test_logline(char const *s, size_t len)
{
  static struct logline l;
  static char back[LOGLINE_MAX];
  size_t used, shown = len > LOGLINE_VALUE ? LOGLINE_VALUE : len;
  l.len = 0;
  logline_text(&l, "x");
  logline_keyb(&l, "k", s, len);
  REQUIRE(!memcmp(l.s, "x k=", 4));
  size_t n = unquote(back, l.s + 4, l.len - 4, &used);
  REQUIRE(used + 4 == l.len && n == shown + (len > shown ? 3 : 0) &&
          !memcmp(back, s ? s : "", shown));
  for (size_t i = 4; l.s[4] != '"' && i < l.len; i++) REQUIRE(!strchr(" \"\\=", l.s[i]));
  logline_safe(&l, s, len);
  logline_keyb(&l, "more", s, len);
  logline_keyb(&l, "more", s, len);
  logline_number(&l, len);
  logline_keyn(&l, "n", len);
  REQUIRE(l.len < LOGLINE_MAX);
  for (size_t i = 0; i < l.len; i++) REQUIRE(l.s[i] >= 32 && l.s[i] < 127);
}

/* --- commands --- */

/* What is taken would be written as it came; a value is within its limits and harmless. */
static void test_command(char const *s, size_t len)
{
  char packet[SENDWIRE_MAX], command;
  char const *why;
  struct selector sel = { .kind = SELECTOR_ALL, .value = "" };
  if (!sendwire_unpack(s, len, &command, &sel, &why)) {
    REQUIRE(why && strlen(why) <= SENDWIRE_TEXT);
  } else {
    REQUIRE(len <= SENDWIRE_MAX && sel.len <= SELECTOR_MAX && !memchr(sel.value, 0, sel.len));
    REQUIRE(sendwire_pack(packet, command, &sel) == len && !memcmp(packet, s, len));
    selector_message(&sel, 1, s, len);
    selector_rcpt(&sel, s, len);
  }
  struct sendwire_answer a = { .changed = 0 }, again;
  if (!sendwire_unpack_answer(s, len, &a)) return;
  if (a.type == 'L') REQUIRE(a.held.len == len - 2 && a.held.value == s + 2);
  size_t n = sendwire_pack_answer(packet, &a);
  REQUIRE(n <= len && sendwire_unpack_answer(packet, n, &again) && again.type == a.type);
  if (a.type == 'Z' || a.type == 'D') REQUIRE(!strcmp(a.text, again.text));
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  struct fuzz f = { (char const *)in, inlen };
  unsigned int which = fuzz_byte(&f);
  size_t len;
  char *s = fuzz_unpack(f, &len);
  switch (which % 8) {
  case 0:
  case 1:
  case 2: test_packet(s, len, which % 8 != 0); break;
  case 3:
  case 4: test_report(which >> 3, s, len); break;
  case 5:
  case 6: test_bounce((struct fuzz){ s, len }); break;
  default:
    if (which >> 3 & 1) test_command(s, len);
    else test_logline(s, len);
  }
  free(s);
  return 0;
}
