/* authclient.c - ask a checkpassword program or pipit-authd; see authclient.h */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "authclient.h"
#include "checker.h"
#include "clock.h"
#include "control.h"
#include "fdpass.h"
#include "localsocket.h"
#include "logline.h"
#include "program.h"

#define STEP_MS  500   /* how late a request to stop may be noticed */
#define QUICK_MS 5000  /* for an answer that needs no program */
#define ASK_MS   1000  /* how long what auth_mechanisms found out holds */
#define CHECKER_MS 60000 /* that a program may take; then it is killed */

_Static_assert(CHECKER_MS < AUTHWIRE_ANSWER_MS, "a checker has to be done before we give up");
_Static_assert(CHECKER_DATA_MAX == AUTHWIRE_DATA_MAX, "both are what checkpassword reads");

char const *auth_mechanism_name(enum authwire_mechanism m)
{
  static char const *const names[AUTHWIRE_MECHANISM_COUNT] = {
    "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "USER", "APOP"
  };
  return (unsigned int)m < AUTHWIRE_MECHANISM_COUNT ? names[m] : "?";
}

char const *auth_service_name(enum authwire_service s)
{
  static char const *const names[AUTHWIRE_SERVICE_COUNT] = { "smtp", "submission", "pop3" };
  return (unsigned int)s < AUTHWIRE_SERVICE_COUNT ? names[s] : "?";
}

/* The address comes first: nothing that a client says stands before it. */
void auth_log_failure(char const *program, char const *ip, enum authwire_service service,
                      enum authwire_mechanism mechanism, char const *login, size_t loginlen)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, program);
  logline_text(&l, ": auth failed");
  logline_key(&l, "ip", ip && *ip ? ip : "local");
  logline_key(&l, "service", auth_service_name(service));
  logline_key(&l, "mechanism", auth_mechanism_name(mechanism));
  logline_keyb(&l, "login", login, loginlen);
  logline_write(&l);
}

static enum auth_result trouble(struct auth_answer *out, char const *why)
{
  snprintf(out->why, sizeof out->why, "%s", why);
  for (char *c = out->why; *c; c++)
    if ((unsigned char)*c < 32 || (unsigned char)*c > 126) *c = '?';
  strerr_warnw("unable to check a login: ", out->why);
  return AUTH_TROUBLE;
}

/* --- a program --- */

/* login, secret and extra, each with a NUL behind it, in the order that it wants. The length; 0
 * when there is more than it would read. */
static size_t compose(char data[CHECKER_DATA_MAX], struct auth const *a, struct auth_try const *t)
{
  struct { char const *s; size_t len; } part[3] = {
    { t->login, t->loginlen }, { t->secret, t->secretlen }, { t->extra, t->extralen }
  };
  int is_cram = t->mechanism == AUTHWIRE_CRAM_MD5;
  size_t n = 0;
  for (int i = 0; i < 3; i++) {
    int k = is_cram && a->challenge_first && i ? 3 - i : i;
    if (part[k].len >= CHECKER_DATA_MAX - n) return 0;
    memcpy(data + n, part[k].s, part[k].len);
    n += part[k].len;
    data[n++] = 0;
  }
  return n;
}

static int run(struct auth const *a, struct auth_who const *w, char const *data, size_t len)
{
  int fd = checker_data(data, len);
  if (fd == -1) return EXIT_TEMPORARY;
  if (w->ip && *w->ip) setenv("TCPREMOTEIP", w->ip, 1);
  pid_t pid = checker_start(a->checker, fd, -1, -1, -1);
  close(fd);
  return pid == -1 ? EXIT_TEMPORARY : checker_wait(pid, clock_ms() + CHECKER_MS, w->stop);
}

static enum auth_result ask_program(struct auth const *a, struct auth_who const *w,
                                    struct auth_try const *t, struct auth_answer *out)
{
  char data[CHECKER_DATA_MAX];
  char text[64];
  size_t len = compose(data, a, t);
  int code = len ? run(a, w, data, len) : CHECKER_REFUSED; /* nobody has such a password */
  explicit_bzero(data, sizeof data);
  if (!code) {
    memcpy(out->login, t->login, t->loginlen);
    out->login[t->loginlen] = 0;
    return AUTH_OK;
  }
  if (checker_refused(code)) {
    auth_log_failure(PROG, w->ip, w->service, t->mechanism, t->login, t->loginlen);
    return AUTH_NO;
  }
  snprintf(text, sizeof text, "the checkpassword program failed (exit code %d)", code);
  return trouble(out, text);
}

/* --- pipit-authd --- */

/* Wait for an answer. 1; 0 with errno. */
static int await(int fd, unsigned int ms, volatile sig_atomic_t const *stop)
{
  uint64_t end = clock_ms() + ms;
  for (;;) {
    struct pollfd x = { .fd = fd, .events = POLLIN };
    uint64_t now = clock_ms();
    if (now >= end) return (errno = ETIMEDOUT, 0);
    if (stop && *stop) return (errno = EINTR, 0);
    int r = poll(&x, 1, end - now < STEP_MS ? (int)(end - now) : STEP_MS);
    if (r > 0) return 1;
    if (r == -1 && errno != EINTR) return 0;
  }
}

static enum auth_result is_data(struct auth_answer *out, char const *s, size_t len)
{
  if (len > sizeof out->data) return trouble(out, "pipit-authd said too much");
  memcpy(out->data, s, len);
  out->datalen = len;
  return AUTH_DATA;
}

static enum auth_result is_ok(struct auth_answer *out, char const *s, size_t len)
{
  if (len > AUTHWIRE_LOGIN_MAX) return trouble(out, "pipit-authd said too much");
  memcpy(out->login, s, len);
  out->login[len] = 0;
  return AUTH_OK;
}

static enum auth_result is_later(struct auth_answer *out, char const *s)
{
  return uint0_scan(s, &out->seconds) ? AUTH_LATER : trouble(out, "pipit-authd said nonsense");
}

static enum auth_result understand(struct auth_answer *out, char kind, char const *s, size_t len)
{
  switch (kind) {
    case AUTHWIRE_OK: return is_ok(out, s, len);
    case AUTHWIRE_NO: return AUTH_NO;
    case AUTHWIRE_DATA: return is_data(out, s, len);
    case AUTHWIRE_LATER: return is_later(out, s);
    case AUTHWIRE_FAULT: return trouble(out, s);
    default: return trouble(out, "pipit-authd said nonsense");
  }
}

/* Read the next answer. */
static enum auth_result hear(struct auth_answer *out, unsigned int ms,
                             volatile sig_atomic_t const *stop)
{
  char packet[AUTHWIRE_MAX + 1];
  int fd = -1;
  if (!await(out->conversation, ms, stop)) return trouble(out, strerror(errno));
  ssize_t n = fdpass_recv(out->conversation, packet, AUTHWIRE_MAX, 0, &fd, 1);
  if (fd != -1) close(fd);
  if (n <= 0) return trouble(out, "pipit-authd went away");
  packet[n] = 0;
  enum auth_result r = understand(out, packet[0], packet + 1, (size_t)n - 1);
  explicit_bzero(packet, (size_t)n); /* nobody's login is to be found here later */
  return r;
}

/* Send a question, with the strings of <t> behind it, and read the answer. The connection stays
 * for AUTH_DATA, and for a session that has begun. */
static enum auth_result ask(struct authwire_request *q, struct auth_try const *t,
                            struct auth_who const *w, unsigned int ms, struct auth_answer *out)
{
  struct iovec v[4] = { { q, sizeof *q }, { (char *)t->login, t->loginlen },
                        { (char *)t->secret, t->secretlen }, { (char *)t->extra, t->extralen } };
  q->loginlen = (uint16_t)t->loginlen;
  q->secretlen = (uint16_t)t->secretlen;
  q->extralen = (uint16_t)t->extralen;
  out->conversation = localsocket_reach(AUTHWIRE_SOCKET);
  if (out->conversation == -1) {
    char text[AUTH_WHY_MAX];
    snprintf(text, sizeof text, "pipit-authd cannot be reached: %s", strerror(errno));
    return trouble(out, text);
  }
  enum auth_result r = fdpass_send(out->conversation, v, 4, &w->client, 1) == 1
                           ? hear(out, ms, w->stop)
                           : trouble(out, strerror(errno));
  if (r != AUTH_DATA && !(r == AUTH_OK && q->session)) auth_cancel(out);
  return r;
}

static void put_address(char to[INET6_ADDRSTRLEN + 2], char const *ip)
{
  snprintf(to, INET6_ADDRSTRLEN + 2, "%s", ip ? ip : "");
}

static struct auth_try const nothing = { .login = "", .secret = "", .extra = "" };
static struct auth_who const nobody = { .client = -1 };

static enum auth_result ask_authd(struct auth_who const *w, struct auth_try const *t,
                                  struct auth_answer *out)
{
  struct authwire_request q = {
    .kind = t->mechanism == AUTHWIRE_SCRAM_SHA_256 ? AUTHWIRE_SCRAM : AUTHWIRE_CHECK,
    .session = w->client != -1, .mechanism = (uint8_t)t->mechanism, .service = (uint8_t)w->service,
    .tls = w->tls != 0
  };
  put_address(q.ip, w->ip);
  put_address(q.localip, w->localip);
  return ask(&q, t, w, AUTHWIRE_ANSWER_MS, out);
}

unsigned int auth_mechanisms(struct auth const *a)
{
  static uint64_t asked;
  static unsigned int known;
  struct authwire_request q = { .kind = AUTHWIRE_MECHANISMS };
  struct auth_answer out;
  uint64_t now = clock_ms();
  if (a->checker) return AUTHWIRE_HAS_PLAIN | (a->has_cram ? AUTHWIRE_HAS_CRAM : 0);
  if (asked && now - asked < ASK_MS) return known;
  asked = now;
  known = 0;
  if (ask(&q, &nothing, &nobody, QUICK_MS, &out) == AUTH_OK) known = (unsigned char)out.login[0];
  return known;
}

/* --- both --- */

/* 1 when the strings are such as can be asked about. */
static int is_sane(struct auth_try const *t)
{
  return t->loginlen <= AUTHWIRE_LOGIN_MAX && t->secretlen <= AUTHWIRE_DATA_MAX &&
         t->extralen <= AUTHWIRE_SCRAM_MAX && !memchr(t->login, 0, t->loginlen) &&
         !memchr(t->secret, 0, t->secretlen) && !memchr(t->extra, 0, t->extralen);
}

enum auth_result auth_check(struct auth const *a, struct auth_who const *w,
                            struct auth_try const *t, struct auth_answer *out)
{
  out->conversation = -1;
  if (!is_sane(t)) {
    auth_log_failure(PROG, w->ip, w->service, t->mechanism, t->login,
                     t->loginlen < AUTHWIRE_LOGIN_MAX ? t->loginlen : AUTHWIRE_LOGIN_MAX);
    return AUTH_NO;
  }
  return a->checker ? ask_program(a, w, t, out) : ask_authd(w, t, out);
}

enum auth_result auth_go_on(struct auth_who const *w, struct auth_answer *out, char const *s,
                            size_t len)
{
  struct iovec v[2] = { { &(char){ AUTHWIRE_DATA }, 1 }, { (char *)s, len } };
  enum auth_result r = len <= AUTHWIRE_SCRAM_MAX && fdpass_send(out->conversation, v, 2, 0, 0) == 1
                           ? hear(out, AUTHWIRE_ANSWER_MS, w->stop)
                           : trouble(out, "pipit-authd went away");
  if (r != AUTH_DATA && !(r == AUTH_OK && w->client != -1)) auth_cancel(out);
  return r;
}

void auth_cancel(struct auth_answer *out)
{
  if (out->conversation != -1) close(out->conversation);
  out->conversation = -1;
}

/* Is there such a control file? Without it there is nothing to ask. */
static int needs_asking(char const *file, struct auth_answer *out, enum auth_result *r)
{
  int there = control_exists(file);
  if (there == -1) *r = trouble(out, control_why());
  return there == 1;
}

enum auth_result auth_may_send(char const *login, unsigned int recipients, struct auth_answer *out)
{
  struct authwire_request q = { .kind = AUTHWIRE_SEND, .recipients = recipients };
  struct auth_try t = nothing;
  enum auth_result r = AUTH_OK;
  t.login = login;
  t.loginlen = strlen(login);
  out->conversation = -1;
  if (!needs_asking("loginlimits", out, &r)) return r;
  return ask(&q, &t, &nobody, QUICK_MS, out);
}

enum auth_result auth_is_open(char const *ip, struct auth_answer *out)
{
  struct authwire_request q = { .kind = AUTHWIRE_IS_OPEN };
  enum auth_result r = AUTH_NO;
  out->conversation = -1;
  if (!needs_asking("relayopentime", out, &r)) return r;
  put_address(q.ip, ip);
  return ask(&q, &nothing, &nobody, QUICK_MS, out);
}
