/* fuzz-session.c - whole SMTP sessions: pipit-smtpd's session over a socketpair, with a client
 * that does whatever the input says
 *
 * Input: three bytes of settings (struct setup, and how the queue behaves; 128: it is pipit-ofmipd),
 * then the client's script. Bytes below 128 are sent as they are; the others
 * stand for whole commands, or are what a client does: enum act, modulo. The
 * client's turns come when the server waits for it; the clock only moves
 * when both would wait. So a session takes no time, and goes the same way
 * every time.
 */

#include <errno.h>
#include <cdb.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../smtpd/session.h"
#include <skalibs/strerr.h>

#include "../../smtpd/auth.h"
#include "../../smtpd/mode.h"
#include "clock.h"
#include "fuzz.h"
#include "logline.h"
#include "session.h"

#define IDLE_S     60 /* control/timeoutsmtpd and timeoutsession */
#define SESSION_S  600
#define HEARD_MAX  POOL_MAX
#define WAITS_MAX  100000 /* calls in a session, after which it will never end */
#define TINY       7
#define MORE_BYTES 48 /* what ACT_MORE multiplies */

enum act {
  ACT_TURN,
  ACT_LATE,
  ACT_CLOSE,
  ACT_HALF,
  ACT_DEAF,
  ACT_TIME,
  ACT_STOP,
  ACT_QUEUE,
  ACT_EINTR,
  ACT_RAW,
  ACT_MORE,
  ACT_WORDS
};

static char const *const words[] = {
  "\r\n",
  ".\r\n",
  "\r\n.\r\n",
  "..",
  "\n.\n",
  "\r.\r",
  "\r\n.\n",
  "\n.\r\n",
  "\r\r\n",
  "EHLO client.example\r\n",
  "HELO client.example\r\n",
  "MAIL FROM:<s@a.example>\r\n",
  "MAIL FROM:<>\r\n",
  "MAIL FROM:<s@a.example> SIZE=99 BODY=8BITMIME\r\n",
  "MAIL FROM:<",
  "MAIL FROM:<bad@evil.example>\r\n",
  "MAIL FROM:<x@Worse.example>\r\n",
  "RCPT TO:<r@ok.example>\r\n",
  "RCPT TO:<\"r r\"@UPPER.example>\r\n",
  "RCPT TO:<r@x.sub.example>\r\n",
  "RCPT TO:<",
  "RCPT TO:<r@other.example>\r\n",
  "RCPT TO:<postmaster>\r\n",
  "RCPT TO:<r@[127.0.0.1]>\r\n",
  "RCPT TO:<r@more.example>\r\n",
  "RCPT TO:<r@x.moresub.example>\r\n",
  "RCPT TO:<@hop.example:r@ok.example>\r\n",
  "DATA\r\n",
  "RSET\r\n",
  "NOOP\r\n",
  "QUIT\r\n",
  "VRFY x\r\n",
  "HELP\r\n",
  "GET / HTTP/1.1\r\n",
  " SIZE=",
  " BODY=7BIT",
  "@ok.example>\r\n",
  "Received: by x\r\n",
  "Delivered-To: y\r\n",
  "\r\n\r\n",
  "x\r\n",
  "postmaster",
  ">\r\n",
  "@sub.example>\r\n",
  "ok.example",
  "MAIL FROM:<s@a.example> RET=HDRS ENVID=a+2Bb\r\n",
  "RCPT TO:<r@ok.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+3D\r\n",
  " NOTIFY=",
  "never",
  " ORCPT=rfc822;",
  " ENVID=",
  " RET=full",
  "STARTTLS\r\n",
  "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n",
  "AUTH LOGIN\r\nYW5u\r\nc2VjcmV0\r\n",
  "AUTH PLAIN\r\n",
  "AGFubgB3cm9uZw==\r\n",
  "MAIL FROM:<ann>\r\n",
  "From: ann\r\n",
  "Sender: s@a.example, \r\n",
  "Resent-To: x;\r\n",
  "Bcc: y\r\n",
};
#define NWORDS (sizeof words / sizeof *words)
#define NACTS  (ACT_WORDS + NWORDS)

struct record rec;

static struct client_side {
  struct fuzz script;
  int fd;     /* the client's end; -1 closed */
  int out;    /* what it writes to: the same, or a pipe */
  int server; /* the server's end, and where it writes to; -1 outside of a session */
  int server_out;
  int deaf;
  int eintr;   /* the next wait of the server is interrupted */
  int ended;   /* the client has done all it will */
  size_t read; /* by the server */
  size_t late; /* of what is in <turn>, this is written after the server's read */
  char turn[SENT_MAX];
  size_t turnlen;
  char heard[HEARD_MAX];
  size_t heardlen;
  unsigned long waits;
} c = { .fd = -1, .out = -1, .server = -1, .server_out = -1 };

static uint64_t now_ms;
static volatile sig_atomic_t stop;

uint64_t clock_ms(void)
{
  return now_ms;
}

int64_t clock_wall(void)
{
  return 1700000000;
}

uint64_t clock_wall_us(void)
{
  return 1700000000000000;
}

void clock_nap(unsigned int ms)
{
  now_ms += ms;
}

/* --- what the server says and does --- */

void record_event(enum event_kind kind, int result, uint64_t value, char const *text, size_t len)
{
  REQUIRE(rec.nevents < EVENTS_MAX && len <= POOL_MAX - rec.poollen);
  struct event *e = rec.events + rec.nevents++;
  *e = (struct event){ kind, result, value, rec.poollen, len, rec.sentlen };
  if (len) memcpy(rec.pool + rec.poollen, text, len);
  rec.poollen += len;
}

extern void __real_stream_put(struct stream *io, char const *s, size_t len);
extern void __wrap_stream_put(struct stream *io, char const *s, size_t len);
void __wrap_stream_put(struct stream *io, char const *s, size_t len)
{
  record_event(EVENT_REPLY, 0, 0, s, len);
  __real_stream_put(io, s, len);
}

/* A value ends with its quote, or before the next space. Where. */
static char const *value_end(char const *s, char const *end)
{
  int quoted = *s == '"';
  for (s += quoted; s < end && *s != (quoted ? '"' : ' '); s++) s += *s == '\\';
  REQUIRE(s <= end && (!quoted || s < end));
  return s + quoted;
}

/* Keys and values to the end; addresses stand in angle brackets, unless they are cut off. */
static void check_values(char const *s, char const *end)
{
  while (s < end) {
    REQUIRE(*s == ' ');
    char const *key = s + 1, *value = memchr(key, '=', (size_t)(end - key));
    REQUIRE(value++ && value < end);
    s = value_end(value, end);
    if (strncmp(key, "from=", 5) && strncmp(key, "rcpt=", 5)) continue;
    int quoted = *value == '"';
    char const *last = s - quoted - 1;
    REQUIRE(value[quoted] == '<' && (*last == '>' || !memcmp(last - 2, "...", 3)));
  }
}

/* A log line is one line, of bytes that no terminal and no other program minds. */
extern void __wrap_logline_write(struct logline *l);
void __wrap_logline_write(struct logline *l)
{
  size_t prog = strlen(mode.program);
  REQUIRE(l->len > 20 && l->len < LOGLINE_MAX && !memcmp(l->s, mode.program, prog) && !memcmp(l->s + prog, ": ", 2));
  for (size_t i = 0; i < l->len; i++) REQUIRE(l->s[i] >= 32 && l->s[i] < 127);
  char const *kind = memchr(l->s + prog + 2, ' ', l->len - prog - 2);
  REQUIRE(kind);
  check_values(kind, l->s + l->len);
  l->len = 0;
}

/* --- the client --- */

static void hear(void)
{
  while (c.fd != -1 && !c.deaf) {
    REQUIRE(c.heardlen < HEARD_MAX);
    ssize_t n = read(c.fd, c.heard + c.heardlen, HEARD_MAX - c.heardlen);
    if (n <= 0) break;
    c.heardlen += (size_t)n;
  }
}

static void say(size_t len)
{
  if (len > c.turnlen) len = c.turnlen;
  if (!len || c.out == -1) return;
  ssize_t n = write(c.out, c.turn, len); /* the server may be gone */
  if (n > 0) {
    memcpy(rec.sent + rec.sentlen, c.turn, (size_t)n);
    rec.sentlen += (size_t)n;
  }
  memmove(c.turn, c.turn + len, c.turnlen - len);
  c.turnlen -= len;
}

static void disconnect(void)
{
  if (c.out != c.fd && c.out != -1) close(c.out);
  if (c.fd != -1) close(c.fd);
  c.fd = c.out = -1;
}

static void hang_up(void)
{
  rec.cut = 1;
  disconnect();
}

static void half_close(void)
{
  c.ended = 1;
  if (c.out != c.fd && c.out != -1)
    close(c.out);
  else if (c.fd != -1)
    shutdown(c.fd, SHUT_WR);
  c.out = -1;
}

static void add(char const *s, size_t len)
{
  if (len > SENT_MAX - rec.sentlen - c.turnlen) return;
  memcpy(c.turn + c.turnlen, s, len);
  c.turnlen += len;
}

/* One act of the script that is no word. 1 when the turn is over. */
static int act(enum act what, size_t *late)
{
  char one, more[255];
  switch (what) {
  case ACT_LATE: *late = c.turnlen; return 0;
  case ACT_DEAF: c.deaf = rec.cut = 1; return 0;
  case ACT_TIME: now_ms += 1000u * fuzz_byte(&c.script); return 0;
  case ACT_STOP: stop = 1; return 0;
  case ACT_QUEUE: queue_behave(fuzz_byte(&c.script)); return 0;
  case ACT_EINTR: c.eintr = 1; return 0;
  case ACT_RAW:
    one = (char)fuzz_byte(&c.script);
    add(&one, 1);
    return 0;
  case ACT_MORE:
    memset(more, 'x', sizeof more);
    for (unsigned int n = fuzz_byte(&c.script) * MORE_BYTES; n; n -= MORE_BYTES)
      add(more, MORE_BYTES);
    return 0;
  case ACT_CLOSE:
  case ACT_HALF: c.ended = what == ACT_CLOSE ? 2 : 1; return 1;
  default: return 1;
  }
}

/* Fill the turn with what the client wants to say next. Returns how much of it at once. */
static size_t prepare(void)
{
  size_t late = SIZE_MAX;
  while (c.script.len && rec.poollen < POOL_MAX / 2 && rec.nevents < EVENTS_MAX / 2) {
    unsigned int b = fuzz_byte(&c.script);
    char plain = (char)b;
    unsigned int n = b % 128 % NACTS;
    if (b < 128)
      add(&plain, 1);
    else if (n >= ACT_WORDS)
      add(words[n - ACT_WORDS], strlen(words[n - ACT_WORDS]));
    else if (act((enum act)n, &late))
      return late;
  }
  if (!c.ended) c.ended = rec.setup.end == 2 ? 3 : rec.setup.end == 1 ? 2 : 1;
  return late;
}

/* The server waits: the client has its turn. */
static void take_turn(void)
{
  hear();
  if (c.ended) return;
  size_t at_once = prepare();
  say(at_once);
  c.late = c.turnlen;
  if (c.ended && c.late) return; /* the rest of it first */
  if (c.ended == 1) half_close();
  if (c.ended == 2) hang_up();
}

/* After the server's read: the rest of the turn. */
static void be_late(void)
{
  if (!c.late) return;
  say(c.turnlen);
  c.late = 0;
  if (c.ended == 1) half_close();
  if (c.ended == 2) hang_up();
}

/* --- what the server calls --- */

/* Before a wait of <ms>: 1 when it may go on, 0 when nothing came. */
static int wait_in(unsigned int ms)
{
  REQUIRE(++c.waits < WAITS_MAX);
  if (c.eintr) {
    c.eintr = 0;
    errno = EINTR;
    return 0;
  }
  if (c.read == rec.sentlen) take_turn();
  struct pollfd p = { .fd = c.server, .events = POLLIN };
  if (poll(&p, 1, 0) == 1) return 1;
  be_late(); /* there was nothing to be late for */
  if (poll(&p, 1, 0) == 1) return 1;
  now_ms += ms;
  errno = EAGAIN;
  return 0;
}

static int wait_out(unsigned int ms)
{
  REQUIRE(++c.waits < WAITS_MAX);
  if (!c.deaf) return 1;
  now_ms += ms;
  errno = EAGAIN;
  return 0;
}

static void was_read(ssize_t n)
{
  if (n > 0) c.read += (size_t)n;
  be_late();
}

extern ssize_t __real_recv(int fd, void *s, size_t len, int flags);
extern ssize_t __wrap_recv(int fd, void *s, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *s, size_t len, int flags)
{
  if (fd != c.server || flags) return __real_recv(fd, s, len, flags);
  REQUIRE(len > 0);
  if (rec.setup.tiny && len > TINY) len = TINY;
  if (!wait_in(IDLE_S * 500)) return -1;
  ssize_t n = __real_recv(fd, s, len, 0);
  was_read(n);
  return n;
}

extern ssize_t __real_read(int fd, void *s, size_t len);
extern ssize_t __wrap_read(int fd, void *s, size_t len);
ssize_t __wrap_read(int fd, void *s, size_t len)
{
  if (fd != c.server) return __real_read(fd, s, len);
  REQUIRE(len > 0);
  ssize_t n = __real_read(fd, s, rec.setup.tiny && len > TINY ? TINY : len);
  was_read(n);
  return n;
}

extern ssize_t __real_send(int fd, void const *s, size_t len, int flags);
extern ssize_t __wrap_send(int fd, void const *s, size_t len, int flags);
ssize_t __wrap_send(int fd, void const *s, size_t len, int flags)
{
  if (fd != c.server_out) return __real_send(fd, s, len, flags);
  REQUIRE(len > 0 && flags & MSG_NOSIGNAL);
  hear();
  if (!wait_out(IDLE_S * 500)) return -1;
  return __real_send(fd, s, rec.setup.terse && len > TINY ? TINY : len, flags);
}

extern ssize_t __real_write(int fd, void const *s, size_t len);
extern ssize_t __wrap_write(int fd, void const *s, size_t len);
ssize_t __wrap_write(int fd, void const *s, size_t len)
{
  if (fd != c.server_out) return __real_write(fd, s, len);
  hear();
  return __real_write(fd, s, rec.setup.terse && len > TINY ? TINY : len);
}

extern int __real_poll(struct pollfd *p, nfds_t n, int ms);
extern int __wrap_poll(struct pollfd *p, nfds_t n, int ms);
int __wrap_poll(struct pollfd *p, nfds_t n, int ms)
{
  if (n != 1 || c.server == -1) return __real_poll(p, n, ms);
  if (p->fd == c.server_out && p->events == POLLOUT) return wait_out((unsigned int)ms) ? 1 : 0;
  if (p->fd != c.server || !ms) return __real_poll(p, n, ms);
  if (wait_in((unsigned int)ms)) return 1;
  return errno == EINTR ? -1 : 0;
}

/* This machine's addresses, without asking the kernel. */
extern int __wrap_getifaddrs(struct ifaddrs **all);
int __wrap_getifaddrs(struct ifaddrs **all)
{
  static struct sockaddr_in four = { .sin_family = AF_INET };
  static struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
  static struct ifaddrs list[3];
  four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  list[0] = (struct ifaddrs){ .ifa_next = list + 1, .ifa_addr = (struct sockaddr *)&four };
  list[1] = (struct ifaddrs){ .ifa_next = list + 2, .ifa_addr = 0 };
  list[2] = (struct ifaddrs){ .ifa_addr = (struct sockaddr *)&six };
  *all = list;
  return 0;
}

extern void __wrap_freeifaddrs(struct ifaddrs *all);
void __wrap_freeifaddrs(struct ifaddrs *all)
{
  (void)all;
}

/* TLS without a handshake and ciphers: what smtpd/tls.c does, but that the descriptors stay. */
void tls_again(char const *ip)
{
  (void)ip;
}

int tls_is_there(int in, int out)
{
  REQUIRE(in == c.server && out == c.server_out);
  return rec.setup.tls;
}

int tls_prepare(struct tls_offer *o, int in, int out, uint32_t limit_ms)
{
  *o = (struct tls_offer)TLS_OFFER_NONE;
  REQUIRE(limit_ms > 0);
  snprintf(o->why, sizeof o->why, "not there");
  return tls_is_there(in, out);
}

int tls_handshake(struct tls_offer *o, struct tls *t, int in, int out, uint32_t limit_ms,
                  volatile sig_atomic_t const *stopped)
{
  (void)o;
  (void)limit_ms;
  (void)stopped;
  t->on = tls_is_there(in, out);
  REQUIRE(c.read == rec.sentlen); /* nothing of before is read as something of after */
  return t->on;
}

void tls_cancel(struct tls_offer *o)
{
  (void)o;
}

void tls_await_end(int in, int on)
{
  REQUIRE(in == c.server && (!on || rec.setup.tls));
}

/* --- logins --- */

extern unsigned int __wrap_auth_mechanisms(struct auth const *a);
unsigned int __wrap_auth_mechanisms(struct auth const *a)
{
  (void)a;
  return AUTHWIRE_HAS_PLAIN;
}

extern enum auth_result __wrap_auth_check(struct auth const *a, struct auth_who const *w,
                                          struct auth_try const *t, struct auth_answer *out);
enum auth_result __wrap_auth_check(struct auth const *a, struct auth_who const *w,
                                   struct auth_try const *t, struct auth_answer *out)
{
  (void)a;
  REQUIRE(rec.setup.submission && w->tls);
  out->conversation = -1;
  if (t->loginlen != 3 || memcmp(t->login, "ann", 3) || t->secretlen != 6 || memcmp(t->secret, "secret", 6))
    return AUTH_NO;
  strcpy(out->login, "ann");
  return AUTH_OK;
}

/* --- a session --- */

static void show(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    fprintf(stderr, s[i] < 32 || s[i] > 126 || s[i] == '\\' ? "\\x%02x" : "%c",
            (unsigned char)s[i]);
  fprintf(stderr, "\n");
}

/* What the client had sent before each event, and the event. */
static void explain(void)
{
  static char const *const names[] = { "reply ", "open ", "room ", "commit ", "abort " };
  size_t at = 0;
  for (size_t i = 0; i < rec.nevents; i++) {
    struct event const *e = rec.events + i;
    if (e->written > at) show(rec.sent + at, e->written - at);
    at = e->written;
    fprintf(stderr, "    %s", names[e->kind]);
    show(rec.pool + e->text, e->len);
  }
  show(rec.sent + at, rec.sentlen - at);
}

static void set_up(struct setup *u, struct fuzz *f)
{
  static char const *const suffixes[] = { "", ".relay.example" };
  static char longest[120];
  unsigned int a = fuzz_byte(f), b = fuzz_byte(f);
  memset(longest, 'y', sizeof longest - 1);
  *u = (struct setup){ .relay = a & 1,
                       .suffix = suffixes[a >> 1 & 1],
                       .pipes = a >> 2 & 1,
                       .mend = a >> 3 & 1,
                       .tiny = a >> 4 & 1,
                       .terse = a >> 5 & 1,
                       .early = a >> 6 & 1,
                       .maxline = a & 128 ? 4096 : 512,
                       .end = (int)(b & 3),
                       .databytes = b & 4 ? 200 : 0,
                       .maxerrors = b & 8 ? ERRORS_MAX : 0,
                       .no_rcpthosts = b >> 4 & 1,
                       .program = b >> 5 & 1,
                       .tls = b >> 7 & 1 && !(a >> 2 & 1) };
  if (b & 64) u->suffix = longest;
  unsigned int behaviour = fuzz_byte(f);
  u->submission = behaviour >> 7 & 1;
  queue_start(behaviour);
}

static void list_of(stralloc *sa, char const *s, size_t len)
{
  if (!stralloc_copyb(sa, s, len)) abort();
}
#define LIST(sa, s) list_of(sa, s, sizeof s)

static struct settings settings;

static void load_settings(void)
{
  stralloc list = STRALLOC_ZERO;
  char const *bad;
  LIST(&settings.me, ME);
  LIST(&settings.greeting, ME);
  LIST(&settings.localiphost, LOCALIPHOST);
  LIST(&settings.idhost, ME);
  LIST(&settings.hosts.rules, "=:" ME);
  settings.idhost.len--;
  settings.me.len--, settings.greeting.len--, settings.localiphost.len--;
  LIST(&list, "ok.example\0.sub.example\0Upper.Example\0" LOCALIPHOST);
  if (!map_build(&settings.rcpthosts, &list, 0)) abort();
  LIST(&list, "bad@evil.example\0@worse.example");
  if (!map_build(&settings.badmailfrom, &list, 0)) abort();
  LIST(&list, "192.0.2.0/24");
  if (!netlist_build(&settings.normalize, &list, &bad)) abort();
  stralloc_free(&list);
}

static void make_morercpthosts(int home)
{
  struct cdb_make m;
  int fd = openat(home, "control/morercpthosts.cdb", O_RDWR | O_CREAT, 0600);
  if (fd == -1 || cdb_make_start(&m, fd) || cdb_make_add(&m, "more.example", 12, "", 0) ||
      cdb_make_add(&m, ".moresub.example", 16, "", 0) || cdb_make_finish(&m) || close(fd))
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  fuzz_explain = explain;
  signal(SIGPIPE, SIG_IGN);
  setenv("TZ", "UTC", 1);
  int home = fuzz_home();
  make_morercpthosts(home);
  fuzz_file(home, "control/me", ME "\n", sizeof ME);
  load_settings();
  return 0;
}

static void connect_them(void)
{
  int a[2], b[2];
  if (rec.setup.pipes ? pipe(a) || pipe(b) : socketpair(AF_UNIX, SOCK_STREAM, 0, a)) abort();
  if (rec.setup.pipes) {
    c.fd = b[0], c.out = a[1], c.server = a[0], c.server_out = b[1];
    fcntl(c.out, F_SETPIPE_SZ, 2 * SENT_MAX);
    fcntl(c.out, F_SETFL, O_NONBLOCK);
  } else {
    c.fd = c.out = a[0], c.server = c.server_out = a[1];
  }
  fcntl(c.fd, F_SETFL, O_NONBLOCK);
}

static void serve(void)
{
  struct client client = { .ip = "198.51.100.1", .relay = rec.setup.relay ? rec.setup.suffix : 0 };
  if (rec.setup.mend) strcpy(client.ip, "192.0.2.7");
  if (rec.setup.pipes) client.host = "odd host\n\xff";
  static struct auth const authd;
  static struct mode const modes[] = { { .program = "pipit-smtpd" }, { .program = "pipit-ofmipd", .submission = 1 } };
  mode = modes[rec.setup.submission];
  PROG = mode.program;
  auth_offer(rec.setup.submission ? &authd : 0, rec.setup.submission ? AUTHWIRE_SUBMISSION : AUTHWIRE_SMTP, rec.setup.submission);
  settings.has_rcpthosts = !rec.setup.no_rcpthosts;
  settings.databytes = rec.setup.databytes;
  settings.maxrcpt = RCPTS_MAX;
  settings.maxline = rec.setup.maxline;
  settings.maxerrors = rec.setup.maxerrors;
  settings.idle = IDLE_S;
  settings.session = SESSION_S;
  session_serve(&settings, &client, c.server, c.server_out, &stop, 1);
}

/* What has come to the client is what was said, unless he would not hear it. */
static void check_heard(void)
{
  size_t at = 0;
  if (c.server_out != c.server) close(c.server_out);
  close(c.server);
  hear();
  for (size_t i = 0; i < rec.nevents; i++) {
    struct event const *e = rec.events + i;
    if (e->kind != EVENT_REPLY) continue;
    size_t n = c.heardlen - at < e->len ? c.heardlen - at : e->len;
    REQUIRE(!memcmp(c.heard + at, rec.pool + e->text, n));
    REQUIRE(n == e->len || rec.cut);
    at += n;
  }
  REQUIRE(at == c.heardlen);
}

int LLVMFuzzerTestOneInput(uint8_t const *s, size_t len)
{
  c.script = (struct fuzz){ (char const *)s, len };
  set_up(&rec.setup, &c.script);
  rec.sentlen = rec.nevents = rec.poollen = 0;
  c.deaf = c.eintr = c.ended = rec.cut = 0;
  c.read = c.late = c.turnlen = c.heardlen = c.waits = 0;
  stop = 0;
  now_ms = 1;
  connect_them();
  if (rec.setup.early) take_turn();
  serve();
  REQUIRE(queue_is_idle());
  check_heard();
  c.server = c.server_out = -1;
  disconnect();
  if (rec.setup.submission) model_check_submission();
  else model_check();
  return 0;
}
