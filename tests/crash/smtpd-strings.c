/* smtpd-strings.c - every string behind DATA, to a real pipit-smtpd; what it queues is compared
 *
 * usage: smtpd-strings MODE LETTERS MIN MAX EVERY OFFSET
 *
 * Each string, with CR LF . CR LF behind it, is sent as the text of a message;
 * what it says behind an end of data is commands. The queue is a stub on
 * $PIPIT_HOME/run/queue. What has to come out is worked out by searching for the
 * one sequence that ends data (RFC 5321, 4.1.1.4), not by a state machine.
 * Modes:
 *   ehlo   the text in one packet
 *   split  the same in two packets, at every place, and each byte in one of its own
 *   helo   without EHLO: what comes behind the end is typed ahead, and ends the session
 *   mend   as a client of control/normalizeclients ($TCPREMOTEIP says so)
 *
 * exit: 0 all are right; 1 some are not, or the program failed; 100 usage.
 */

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/check.h"
#include "strings.h"

#define WAIT_MS     20000
#define SESSION_MAX 2000 /* messages of one session */
#define ROOM        65536
#define TEXT_MAX    (STRINGS_LENGTH_MAX + 5)
#define CODES_MAX   32
#define ENVELOPE    "Fa@b.example\0Tx@example.org" /* with the NUL that the compiler adds */

enum mode { EHLO, SPLIT, HELO, MEND };

struct expected {
  int queued; /* one message, or none */
  char text[2 * TEXT_MAX];
  size_t len;
  unsigned int codes[CODES_MAX];
  size_t ncodes;
  int closes;
};

struct stub { /* of pipit-queued */
  int listener, conn;
  size_t inlen, msglen, envlen;
  unsigned int committed;
  char in[ROOM], msg[ROOM], env[ROOM];
};

struct client {
  int fd, pid;
  int closed;
  unsigned int messages;
  size_t inlen, ncodes;
  unsigned int codes[CODES_MAX];
  char in[ROOM];
};

struct run {
  enum mode mode;
  struct stub stub;
  struct client client;
};

/* --- what has to happen --- */

/* The length of the text in front of the first end of data in d[0..len); *used is what
 * stands behind it. There always is one. */
static size_t find_end(char const *d, size_t len, size_t *used)
{
  if (!memcmp(d, ".\r\n", 3)) return (*used = 3, 0);
  char const *end = memmem(d, len, "\r\n.\r\n", 5);
  *used = (size_t)(end - d) + 5;
  return (size_t)(end - d) + 2;
}

static int is_clean(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    if (!s[i]) return 0;
    if (s[i] == '\r' && (i + 1 == len || s[i + 1] != '\n')) return 0;
    if (s[i] == '\n' && (!i || s[i - 1] != '\r')) return 0;
  }
  return 1;
}

/* Mending, in three passes: a CR before a CR goes, CR LF and CR become LF. */
static size_t mend(char *s, size_t len)
{
  size_t n = 0, m = 0;
  for (size_t i = 0; i < len; i++)
    if (s[i] != '\r' || i + 1 == len || s[i + 1] != '\r') s[n++] = s[i];
  for (size_t i = 0; i < n; i++)
    if (s[i] != '\r' || i + 1 == n || s[i + 1] != '\n') s[m++] = s[i];
  for (size_t i = 0; i < m; i++)
    if (s[i] == '\r') s[i] = '\n';
  return m;
}

static size_t undo_dots(char *s, size_t len)
{
  size_t n = 0;
  int start = 1;
  for (size_t i = 0; i < len; i++) {
    int skip = start && s[i] == '.';
    start = s[i] == '\n';
    if (!skip) s[n++] = s[i];
  }
  return n;
}

static void expect_code(struct expected *e, unsigned int code)
{
  e->codes[e->ncodes++] = code;
}

/* Lines behind the end of data: none of them is a command that exists. */
static void expect_commands(struct expected *e, enum mode mode, char const *s, size_t len)
{
  while (len && !e->closes) {
    char const *lf = memchr(s, '\n', len);
    if (!lf) return;
    size_t n = (size_t)(lf - s);
    int crlf = n && s[n - 1] == '\r';
    e->closes = !crlf && mode != MEND;
    n -= (size_t)crlf;
    int control = memchr(s, '\r', n) || memchr(s, 0, n);
    expect_code(e, e->closes || control ? 500 : 502);
    len -= (size_t)(lf - s) + 1;
    s = lf + 1;
  }
}

static void expect(struct expected *e, enum mode mode, char const *d, size_t len)
{
  size_t used;
  memset(e, 0, sizeof *e);
  e->len = find_end(d, len, &used);
  memcpy(e->text, d, e->len);
  e->queued = mode == MEND ? !memchr(d, 0, e->len) : is_clean(d, e->len);
  e->len = undo_dots(e->text, mend(e->text, e->len));
  expect_code(e, e->queued ? 250 : 550);
  if (mode != HELO) {
    expect_commands(e, mode, d + used, len - used);
  } else if (used < len) {
    expect_code(e, 554);
    e->closes = 1;
  }
}

/* --- the stub --- */

static void answer(struct stub *q, char const *text)
{
  char out[64] = "K";
  size_t n = strlen(text) + 1;
  out[4] = (char)n;
  memcpy(out + 6, text, n - 1);
  if (send(q->conn, out, 5 + n, MSG_NOSIGNAL) != (ssize_t)(5 + n)) perror("answer of the stub");
}

static void take_frame(struct stub *q, char type, char const *s, size_t len)
{
  switch (type) {
    case 'O':
      q->msglen = q->envlen = 0;
      answer(q, "");
      break;
    case 'D':
      memcpy(q->msg + q->msglen, s, len);
      q->msglen += len;
      break;
    case 'E':
      memcpy(q->env + q->envlen, s, len);
      q->envlen += len;
      break;
    case '.':
      q->committed++;
      answer(q, "1700000000000000");
      break;
    default: q->msglen = q->envlen = 0;
  }
}

static void serve_queue(struct stub *q)
{
  ssize_t n = recv(q->conn, q->in + q->inlen, sizeof q->in - q->inlen, 0);
  size_t at = 0;
  if (n <= 0) {
    close(q->conn);
    q->conn = -1;
    q->inlen = 0;
    return;
  }
  q->inlen += (size_t)n;
  while (q->inlen - at >= 5) {
    unsigned char const *head = (unsigned char *)q->in + at;
    size_t len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
    if (q->inlen - at - 5 < len) break;
    take_frame(q, (char)head[0], (char const *)head + 5, len);
    at += 5 + len;
  }
  q->inlen -= at;
  memmove(q->in, q->in + at, q->inlen);
}

/* --- the client --- */

static void read_replies(struct client *c)
{
  ssize_t n = recv(c->fd, c->in + c->inlen, sizeof c->in - c->inlen, 0);
  char *s = c->in, *lf;
  if (n <= 0) {
    c->closed = 1;
    return;
  }
  c->inlen += (size_t)n;
  while ((lf = memchr(s, '\n', (size_t)(c->in + c->inlen - s)))) {
    if (lf - s > 3 && s[3] == ' ' && c->ncodes < CODES_MAX)
      c->codes[c->ncodes++] = (unsigned int)strtoul(s, 0, 10);
    s = lf + 1;
  }
  c->inlen -= (size_t)(s - c->in);
  memmove(c->in, s, c->inlen);
}

/* Serve both sides until there are <n> replies, or with n = 0 until the end. 1, or 0. */
static int await(struct run *r, size_t n)
{
  struct client *c = &r->client;
  struct stub *q = &r->stub;
  while (!c->closed && (!n || c->ncodes < n)) {
    struct pollfd p[2] = { { .fd = c->fd, .events = POLLIN },
                           { .fd = q->conn == -1 ? q->listener : q->conn, .events = POLLIN } };
    if (poll(p, 2, WAIT_MS) <= 0) return 0;
    if (p[1].revents && q->conn == -1) q->conn = accept(q->listener, 0, 0);
    else if (p[1].revents) serve_queue(q);
    if (p[0].revents) read_replies(c);
  }
  return !n || c->ncodes >= n;
}

static int put(struct client *c, char const *s, size_t len)
{
  return send(c->fd, s, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Send, and check the codes of the replies. */
static int dialogue(struct run *r, char const *s, unsigned int const *codes, size_t n)
{
  r->client.ncodes = 0;
  return put(&r->client, s, strlen(s)) && await(r, n) &&
         !memcmp(r->client.codes, codes, n * sizeof *codes);
}

static int begin_session(struct run *r)
{
  static unsigned int const ok[] = { 250 };
  struct client *c = &r->client;
  char path[600];
  char *argv[] = { path, 0 };
  int fd[2];
  snprintf(path, sizeof path, "%s/pipit-smtpd", getenv("BIN"));
  /* Packets: each is one read of the server's, so splits are where they are meant to be. */
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) == -1) return 0;
  memset(c, 0, sizeof *c);
  c->fd = fd[0];
  c->pid = strings_spawn(argv, fd[1]);
  close(fd[1]);
  return c->pid != -1 && await(r, 1) && c->codes[0] == 220 &&
         dialogue(r, r->mode == HELO ? "HELO c.example\r\n" : "EHLO c.example\r\n", ok, 1);
}

/* 1 when the server exits as it should. */
static int end_session(struct run *r)
{
  struct client *c = &r->client;
  int status;
  if (c->fd == -1) return 1;
  close(c->fd);
  c->fd = -1;
  return waitpid(c->pid, &status, 0) == c->pid && !status;
}

static char const *begin_message(struct run *r)
{
  static unsigned int const codes[] = { 250, 250, 354 };
  static char const *const lines[] = { "MAIL FROM:<a@b.example>\r\n", "RCPT TO:<x@example.org>\r\n",
                                       "DATA\r\n" };
  char all[128];
  if (r->client.messages++ >= SESSION_MAX && !end_session(r)) return "the server failed";
  if (r->client.fd == -1 && !begin_session(r)) return "no session begins";
  if (r->mode == HELO) {
    for (size_t i = 0; i < 3; i++)
      if (!dialogue(r, lines[i], codes + i, 1)) return "a command is not answered as expected";
    return 0;
  }
  snprintf(all, sizeof all, "%s%s%s", lines[0], lines[1], lines[2]);
  return dialogue(r, all, codes, 3) ? 0 : "the commands are not answered as expected";
}

/* Send the text, in pieces of <first> bytes, <step> bytes and so on. */
static int send_text(struct run *r, char const *d, size_t len, size_t first, size_t step)
{
  for (size_t at = 0, n = first; at < len; at += n, n = step) {
    if (n > len - at) n = len - at;
    if (!put(&r->client, d + at, n) && errno != EPIPE) return 0;
  }
  return 1;
}

static char const *compare(struct run *r, struct expected const *e)
{
  struct stub const *q = &r->stub;
  struct client const *c = &r->client;
  if (c->ncodes != e->ncodes || memcmp(c->codes, e->codes, e->ncodes * sizeof *e->codes))
    return "other replies than expected";
  if (q->committed != (unsigned int)e->queued)
    return e->queued ? "not one message is queued" : "a message is queued that must be refused";
  if (!e->queued) return 0;
  if (q->msglen != e->len || memcmp(q->msg, e->text, e->len)) return "another text is queued";
  if (q->envlen != sizeof ENVELOPE || memcmp(q->env, ENVELOPE, sizeof ENVELOPE))
    return "another envelope is queued";
  return 0;
}

static char const *try_split(struct run *r, char const *d, size_t len, size_t first, size_t step)
{
  struct expected e;
  expect(&e, r->mode, d, len);
  char const *wrong = begin_message(r);
  if (!wrong) {
    r->stub.committed = 0;
    r->client.ncodes = 0;
    if (!send_text(r, d, len, first, step)) return "the text cannot be sent";
    if (!await(r, e.closes ? 0 : e.ncodes)) wrong = "replies are missing";
    else wrong = compare(r, &e);
  }
  if (!wrong && !e.closes && r->client.closed) wrong = "the session was closed";
  if ((wrong || e.closes) && !end_session(r) && !wrong) wrong = "the server failed";
  return wrong;
}

static char const *try_string(void *arg, char const *s, size_t n)
{
  struct run *r = arg;
  char d[TEXT_MAX];
  char const *wrong = 0;
  memcpy(d, s, n);
  memcpy(d + n, "\r\n.\r\n", 5);
  if (r->mode != SPLIT) return try_split(r, d, n + 5, n + 5, 1);
  for (size_t first = 1; first < n + 5 && !wrong; first++)
    wrong = try_split(r, d, n + 5, first, n + 5);
  return wrong ? wrong : try_split(r, d, n + 5, 1, 1);
}

/* --- */

static int open_stub(struct stub *q)
{
  struct sockaddr_un sa = { .sun_family = AF_UNIX };
  snprintf(sa.sun_path, sizeof sa.sun_path, "%s/run/queue", getenv("PIPIT_HOME"));
  unlink(sa.sun_path);
  q->conn = -1;
  q->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return bind(q->listener, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(q->listener, 5) == 0;
}

int main(int argc, char **argv)
{
  static char const *const names[] = { "ehlo", "split", "helo", "mend" };
  static struct run r = { .client = { .fd = -1 } };
  struct strings x;
  char why[200];
  size_t m = 0;
  while (argc == 7 && m < 4 && strcmp(argv[1], names[m])) m++;
  if (argc != 7 || m == 4 || !strings_parse(&x, argv + 2)) return 100;
  r.mode = (enum mode)m;
  if (!open_stub(&r.stub)) return (perror("the stub's socket"), 1);
  strings_run(&x, try_string, &r);
  if (!end_session(&r)) x.failed++;
  snprintf(why, sizeof why,
           "%s: %lu strings over %s up to %zu bytes (each %lu. from %lu) read as RFC 5321 says",
           argv[1], x.done, x.letters, x.max, x.every, x.offset);
  check(x.done && !x.failed, why);
  return check_done();
}
