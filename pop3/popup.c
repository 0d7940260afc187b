/* popup.c - USER, PASS, APOP, STLS and CAPA; see popup.h */

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../smtpd/stream.h"
#include "../smtpd/tls.h"
#include "checker.h"
#include "clock.h"
#include "logline.h"
#include "popup.h"

#define STEP_MS       1000 /* how late a request to stop may be noticed */
#define ERRORS_MAX    20   /* refused commands that end the session */
#define TIMESTAMP_MAX 400
#define TLS_RECORD    0x16 /* the first byte that a TLS client sends */

static struct auth const *auth;
static char const *host;
static int in_clear;

struct popup {
  struct settings const *settings;
  struct client const *client;
  struct tls tls;
  char timestamp[TIMESTAMP_MAX]; /* <unique@host> */
  size_t loginlen;
  char login[POPUP_LINE_MAX];    /* what USER said */
  unsigned int failures, errors;
  char ended[TLS_WHY_MAX + 32];  /* room for <end> */
  char const *end;               /* why the session is over, or NULL */
  struct stream io;
};

void popup_offer(struct auth const *a, char const *name, int clear)
{
  auth = a;
  host = name;
  in_clear = clear;
}

static void put(struct popup *p, char const *s)
{
  stream_put(&p->io, s, strlen(s));
}

static void reply(struct popup *p, char const *text)
{
  put(p, text);
  put(p, "\r\n");
}

static void refuse(struct popup *p, char const *text)
{
  put(p, "-ERR ");
  reply(p, text);
  if (++p->errors >= ERRORS_MAX) p->end = "too many errors";
}

static int may_log_in(struct popup const *p)
{
  return p->tls.on || in_clear || netlist_has(&p->settings->authinclear, p->client->ip);
}

static int has_apop(void)
{
  return (auth_mechanisms(auth) & AUTHWIRE_HAS_CRAM) != 0;
}

/* --- reading a line and not a byte more --- */

/* Wait until there is something to read. */
static enum stream_result await(struct popup *p)
{
  for (;;) {
    struct pollfd x = { .fd = p->io.in, .events = POLLIN };
    if (p->io.stop && *p->io.stop) return STREAM_STOPPED;
    if ((int64_t)clock_ms() >= p->io.expires) return STREAM_EXPIRED;
    int r = poll(&x, 1, STEP_MS);
    if (r > 0) return STREAM_OK;
    if (r == -1 && errno != EINTR) return STREAM_ERROR;
  }
}

/* Read up to the end of a line, or to s[max]. The bytes, 0 at the end, -1 with errno. */
static ssize_t read_piece(struct popup *p, char *s, size_t max)
{
  if (!p->io.is_socket) return read(p->io.in, s, 1);
  ssize_t n = recv(p->io.in, s, max, MSG_PEEK | MSG_DONTWAIT);
  if (n <= 0) return n;
  char const *lf = memchr(s, '\n', (size_t)n);
  return recv(p->io.in, s, lf ? (size_t)(lf - s) + 1 : (size_t)n, MSG_DONTWAIT);
}

/* Read a line into <line>, without its end and with a NUL behind it; of one that is too long only
 * its length is right. */
static enum stream_result read_line(struct popup *p, char line[POPUP_LINE_MAX + 2], size_t *len)
{
  enum stream_result r = stream_flush(&p->io);
  *len = 0;
  while (r == STREAM_OK && (r = await(p)) == STREAM_OK) {
    size_t at = *len <= POPUP_LINE_MAX ? *len : POPUP_LINE_MAX + 1;
    ssize_t n = read_piece(p, line + at, POPUP_LINE_MAX + 2 - at);
    if (n == -1 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) return n ? STREAM_ERROR : STREAM_EOF;
    *len = at + (size_t)n;
    if (line[*len - 1] != '\n') {
      if (*len == POPUP_LINE_MAX + 2) *len = POPUP_LINE_MAX + 1; /* the next byte takes its place */
      continue;
    }
    --*len;
    if (*len && *len <= POPUP_LINE_MAX && line[*len - 1] == '\r') --*len;
    line[*len] = 0;
    return STREAM_OK;
  }
  return r;
}

static void lost(struct popup *p, enum stream_result r)
{
  switch (r) {
    case STREAM_IDLE:
    case STREAM_EXPIRED: reply(p, "-ERR [SYS/TEMP] timeout"); p->end = "timeout"; break;
    case STREAM_STOPPED: reply(p, "-ERR [SYS/TEMP] shutting down, come back later"); p->end = "shutdown"; break;
    case STREAM_EOF: p->end = "closed by client"; break;
    default: p->end = "lost connection"; break;
  }
}

/* --- logging in --- */

static void close_connection(struct popup *p)
{
  close(p->io.in);
  if (p->io.out != p->io.in) close(p->io.out);
}

/* The other program has the client; this process only stands for the session, which counts as long
 * as it lives. */
static void wait_for_session(struct popup *p, struct auth_answer *a)
{
  struct pollfd x = { .fd = a->conversation, .events = POLLIN };
  close_connection(p);
  p->io.broken = STREAM_ERROR;
  while (!(p->io.stop && *p->io.stop) && poll(&x, 1, STEP_MS) <= 0)
    continue;
  auth_cancel(a);
  p->end = "logged in";
}

/* A program's failures cost time here; pipit-authd sees to its own. */
static void has_failed(struct popup *p)
{
  uint64_t end = clock_ms() + ++p->failures * p->settings->authdelay * 1000;
  while (auth->checker && clock_ms() < end && !(p->io.stop && *p->io.stop)) clock_nap(100);
  refuse(p, "[AUTH] login or password wrong");
  if (p->failures >= POPUP_FAILURES) p->end = "too many failed logins";
}

static void tell_trouble(struct popup *p)
{
  refuse(p, "[SYS/TEMP] logins cannot be checked now, try again later");
}

static void ask_authd(struct popup *p, struct auth_try const *t)
{
  struct auth_who const who = { .ip = p->client->ip, .localip = p->client->localip, .service = AUTHWIRE_POP3,
                                .tls = p->tls.on, .client = p->io.in, .stop = p->io.stop };
  struct auth_answer a;
  char text[80];
  if (!stream_is_one_socket(p->io.in, p->io.out)) {
    refuse(p, "[SYS/PERM] this service needs a socket");
    return;
  }
  switch (auth_check(auth, &who, t, &a)) {
    case AUTH_OK: wait_for_session(p, &a); break;
    case AUTH_NO: has_failed(p); break;
    case AUTH_LATER:
      snprintf(text, sizeof text, "[SYS/TEMP] too many failed logins, try again in %u seconds", a.seconds);
      refuse(p, text);
      break;
    default: tell_trouble(p); break;
  }
}

/* login, secret and timestamp for a checkpassword program. The length; 0 when it would not read as
 * much. */
static size_t compose(char data[CHECKER_DATA_MAX], struct auth_try const *t)
{
  int n = snprintf(data, CHECKER_DATA_MAX, "%.*s%c%.*s%c%.*s", (int)t->loginlen, t->login, 0,
                   (int)t->secretlen, t->secret, 0, (int)t->extralen, t->extra);
  return n > 0 && n < CHECKER_DATA_MAX ? (size_t)n + 1 : 0;
}

/* The program, and what it executes, have the client until they end. Its wait status, or -1. */
static int run_checker(struct popup *p, char const *data, size_t len)
{
  int status;
  int fd = checker_data(data, len);
  pid_t pid = fd == -1 ? -1 : checker_start(auth->checker, fd, -1, p->io.in, p->io.out);
  if (fd != -1) close(fd);
  if (pid == -1) return -1;
  while (waitpid(pid, &status, 0) == -1)
    if (errno != EINTR) return -1;
  return status;
}

static void judge(struct popup *p, struct auth_try const *t, int status)
{
  if (status != -1 && WIFSIGNALED(status)) {
    refuse(p, "[SYS/TEMP] aack, child crashed");
    p->end = "the program crashed";
  } else if (status != -1 && checker_refused(WEXITSTATUS(status))) {
    auth_log_failure("pipit-popup", p->client->ip, AUTHWIRE_POP3, t->mechanism, t->login, t->loginlen);
    has_failed(p);
  } else if (status) {
    tell_trouble(p);
    p->end = "the program failed"; /* it may have said something itself */
  } else {
    p->io.broken = STREAM_ERROR; /* all is said */
    p->end = "logged in";
  }
}

static void ask_program(struct popup *p, struct auth_try const *t)
{
  char data[CHECKER_DATA_MAX];
  size_t len = compose(data, t);
  int status = len ? run_checker(p, data, len) : CHECKER_REFUSED << 8; /* nobody has such a password */
  explicit_bzero(data, sizeof data);
  judge(p, t, status);
}

/* The limits of time that stream.h puts on a socket are ours: another program would take them for
 * errors. So they go, and come back where the client stays with us. */
static void limit(struct popup const *p, int64_t ms)
{
  struct timeval const t = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
  setsockopt(p->io.in, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  setsockopt(p->io.out, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

static void log_in(struct popup *p, enum authwire_mechanism m, char const *secret, size_t len)
{
  struct auth_try t = { .mechanism = m, .login = p->login, .loginlen = p->loginlen, .secret = secret,
                        .secretlen = len };
  if (m == AUTHWIRE_APOP || auth->checker) t.extra = p->timestamp, t.extralen = strlen(p->timestamp);
  else t.extra = "";
  limit(p, 0);
  if (auth->checker) ask_program(p, &t);
  else ask_authd(p, &t);
  if (p->io.broken == STREAM_OK) limit(p, p->io.wait);
  p->loginlen = 0;
}

/* --- commands; <arg> is what stands behind the space --- */

static int is_refused_in_clear(struct popup *p)
{
  if (may_log_in(p)) return 0;
  refuse(p, "[AUTH] not in clear: STLS first, or use the port for TLS");
  return 1;
}

static void do_user(struct popup *p, char const *arg, size_t len)
{
  if (is_refused_in_clear(p)) return;
  if (!len) {
    refuse(p, "who are you? write USER and a name");
    return;
  }
  memcpy(p->login, arg, len);
  p->loginlen = len;
  reply(p, "+OK");
}

static void do_pass(struct popup *p, char const *arg, size_t len)
{
  if (is_refused_in_clear(p)) return;
  if (!p->loginlen) refuse(p, "USER first");
  else if (!len) refuse(p, "write PASS and the password");
  else log_in(p, AUTHWIRE_USER, arg, len);
}

static void do_apop(struct popup *p, char const *arg, size_t len)
{
  char const *space = memrchr(arg, ' ', len);
  if (!has_apop()) {
    refuse(p, "APOP is not spoken here");
  } else if (!space || space == arg || space + 1 == arg + len) {
    refuse(p, "write APOP, a name, and the digest");
  } else if (!is_refused_in_clear(p)) { /* the mail itself goes the same way */
    p->loginlen = (size_t)(space - arg);
    memcpy(p->login, arg, p->loginlen);
    log_in(p, AUTHWIRE_APOP, space + 1, len - p->loginlen - 1);
  }
}

static void do_capa(struct popup *p, char const *arg, size_t len)
{
  (void)arg, (void)len;
  put(p, "+OK\r\nTOP\r\nUIDL\r\n");
  if (may_log_in(p)) put(p, "USER\r\n");
  if (!p->tls.on && tls_is_there(p->io.in, p->io.out)) put(p, "STLS\r\n");
  put(p, "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n.\r\n");
}

static uint32_t handshake_limit(struct popup const *p)
{
  int64_t left = p->io.expires - (int64_t)clock_ms();
  return left < 1 ? 1 : left < TLS_HANDSHAKE_MS ? (uint32_t)left : TLS_HANDSHAKE_MS;
}

/* What was said before is everybody's who can write to the connection: nothing of it holds. */
static void shake_hands(struct popup *p, struct tls_offer *o)
{
  if (!tls_handshake(o, &p->tls, p->io.in, p->io.out, handshake_limit(p), p->io.stop)) {
    snprintf(p->ended, sizeof p->ended, "TLS handshake failed: %s", o->why);
    p->end = p->ended;
    return;
  }
  stream_renew(&p->io);
  p->loginlen = 0;
}

static void do_stls(struct popup *p, char const *arg, size_t len)
{
  struct tls_offer o;
  (void)arg, (void)len;
  if (stream_is_pending(&p->io)) {
    refuse(p, "you went on in clear behind STLS");
    p->end = "typed ahead of TLS";
  } else if (p->tls.on) {
    refuse(p, "TLS is on already");
  } else if (!tls_prepare(&o, p->io.in, p->io.out, handshake_limit(p))) {
    refuse(p, "[SYS/TEMP] TLS is not available now");
  } else {
    reply(p, "+OK go ahead");
    enum stream_result r = stream_flush(&p->io);
    if (r == STREAM_OK) {
      shake_hands(p, &o);
    } else {
      tls_cancel(&o);
      lost(p, r);
    }
  }
}

static void do_quit(struct popup *p, char const *arg, size_t len)
{
  (void)arg, (void)len;
  reply(p, "+OK");
  p->end = "quit";
}

static struct {
  char const *name;
  void (*run)(struct popup *, char const *, size_t);
} const commands[] = {
  { "USER", do_user }, { "PASS", do_pass }, { "APOP", do_apop },
  { "CAPA", do_capa }, { "STLS", do_stls }, { "QUIT", do_quit },
};

/* Blanks may be part of a password; of nothing else at a line's end. */
static void command(struct popup *p, char const *line, size_t len)
{
  size_t n = strcspn(line, " ");
  char const *arg = line[n] ? line + n + 1 : line + n;
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    if (strlen(commands[i].name) != n || strncasecmp(line, commands[i].name, n)) continue;
    size_t left = len - (size_t)(arg - line);
    while (commands[i].run != do_pass && left && arg[left - 1] == ' ') left--;
    commands[i].run(p, arg, left);
    return;
  }
  refuse(p, "log in first");
}

static void take_line(struct popup *p, char const *line, size_t len)
{
  if (len && *line == TLS_RECORD) {
    refuse(p, "TLS begins with STLS here");
    p->end = "TLS handshake";
  } else if (len > POPUP_LINE_MAX) {
    refuse(p, "line too long");
  } else if (memchr(line, 0, len)) {
    refuse(p, "no such command");
  } else {
    command(p, line, len);
  }
}

/* --- the session --- */

static void greet(struct popup *p)
{
  char const *name = host ? host : p->settings->me.s;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  snprintf(p->timestamp, sizeof p->timestamp, "<%ld.%lld%09ld@%.300s>", (long)getpid(),
           (long long)now.tv_sec, now.tv_nsec, name);
  put(p, "+OK ");
  reply(p, has_apop() ? p->timestamp : "POP3 ready");
}

static void tls_on_connect(struct popup *p)
{
  struct tls_offer o;
  if (tls_prepare(&o, p->io.in, p->io.out, handshake_limit(p))) {
    shake_hands(p, &o);
    return;
  }
  snprintf(p->ended, sizeof p->ended, "TLS is not available: %s", o.why);
  p->end = p->ended;
}

static void log_end(struct popup const *p)
{
  struct logline l = LOGLINE_ZERO;
  char text[sizeof p->tls.protocol + sizeof p->tls.cipher];
  logline_text(&l, "pipit-popup: end");
  logline_key(&l, "ip", p->client->ip);
  if (p->client->host) logline_key(&l, "host", p->client->host);
  if (p->tls.on) {
    snprintf(text, sizeof text, "%s:%s", p->tls.protocol, p->tls.cipher);
    logline_key(&l, "tls", text);
  }
  logline_keyn(&l, "failures", p->failures);
  logline_keyn(&l, "seconds", stream_age(&p->io));
  logline_key(&l, "reason", p->end);
  logline_write(&l);
}

enum served popup_serve(struct settings const *settings, struct client const *client, int in, int out,
                        volatile sig_atomic_t const *stop)
{
  static struct popup p;
  char line[POPUP_LINE_MAX + 2];
  size_t len;
  memset(&p, 0, offsetof(struct popup, io)); /* not the buffers */
  p.settings = settings;
  p.client = client;
  stream_start(&p.io, in, out, POPUP_SECONDS, POPUP_SECONDS, stop);
  if (client->smtps) tls_on_connect(&p);
  if (!p.end) greet(&p);
  while (!p.end) {
    enum stream_result r = read_line(&p, line, &len);
    if (r != STREAM_OK) lost(&p, r);
    else take_line(&p, line, len);
    explicit_bzero(line, sizeof line);
  }
  stream_flush(&p.io);
  log_end(&p);
  if (p.io.broken == STREAM_OK) stream_linger(&p.io);
  return SERVED_OVER;
}
