/* session.c - a handshake, then bytes; see session.h */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "clock.h"
#include "fdpass.h"
#include "memory.h"
#include "peer.h"
#include "sandbox.h"
#include "session.h"
#include "shovel.h"
#include "tlswire.h"

#define BEGIN_MS        30000  /* for a server of ours to say 220 */
#define BEGIN_CLIENT_MS 360000 /* for a foreign one */

#define MESSAGES_MAX 1000 /* of TLS's own in a session: a handshake has ten */

/* Where this process has its descriptors; 2 is the log. There is no number for one more. */
enum { NET = 0, PLAIN = 1, CONTROL = 3, DESCRIPTORS = 4 };

struct session {
  unsigned int number;   /* that this process had before */
  unsigned int messages; /* of TLS's own that came from the peer */
  struct tlswire_request q;
  struct peer peer; /* where that is a TLS server */
  char strings[TLSWIRE_MAX];
};

static void answer(int control, char kind, char const *s, size_t len)
{
  struct iovec v[2] = { { &kind, 1 }, { (char *)s, len } };
  fdpass_send(control, v, 2, 0, 0);
}

void session_refuse(int control, char const *why)
{
  answer(control, TLSWIRE_FAILED, why, strlen(why));
}

void session_dissuade(int control, char const *why)
{
  answer(control, TLSWIRE_PLAIN, why, strlen(why));
}

/* --- before the first byte of the peer --- */

static int move(int from, int to)
{
  if (from == to) return 1;
  if (dup2(from, to) == -1) return 0;
  close(from);
  return 1;
}

static int set_limit(int which, rlim_t n)
{
  struct rlimit const r = { n, n };
  return setrlimit((__rlimit_resource_t)which, &r) == 0;
}

static int confine(void)
{
  return sandbox_no_exec() != -1 && sandbox_no_files() != -1 &&
         set_limit(RLIMIT_NPROC, 0) && set_limit(RLIMIT_CORE, 0);
}

static int without_waiting(int fd)
{
  int flags = fcntl(fd, F_GETFL);
  return flags != -1 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* Read the request, and the two sockets. NULL, or why it is none. */
static char const *receive(int control, struct session *s, char role, int fd[2])
{
  static char const malformed[] = "malformed request";
  char packet[TLSWIRE_MAX];
  ssize_t n = fdpass_recv(control, packet, sizeof packet, MSG_DONTWAIT, fd, 2);
  if (n < (ssize_t)sizeof s->q || fd[0] == -1 || fd[1] == -1) return malformed;
  size_t len = (size_t)n - sizeof s->q;
  memcpy(&s->q, packet, sizeof s->q);
  memcpy(s->strings, packet + sizeof s->q, len);
  if (s->q.role != role) return malformed;
  if (role == TLSWIRE_SERVER) return len ? malformed : 0;
  return peer_take(&s->peer, s->q.level, s->strings, len) ? 0 : malformed;
}

/* A failure of who asked for more than TLS says nothing about who does not. */
static int failure_code(struct session const *s, char const *why)
{
  int counts = s->q.role == TLSWIRE_CLIENT && s->peer.level == TLSWIRE_MAY && *why;
  return counts ? MEMORY_FAILED : MEMORY_NOTHING;
}

/* OpenSSL does not return before it has text, or nothing more has come: who sends nothing but messages
 * of the handshake (HelloRequest, KeyUpdate, tickets), and fast, would never let go. */
static void on_message(int sent, int version, int type, void const *message, size_t len, SSL *ssl,
                       void *arg)
{
  static char const flood[] = "too many handshake messages";
  struct session *s = arg;
  (void)version, (void)message, (void)len, (void)ssl;
  if (sent || type != SSL3_RT_HANDSHAKE || ++s->messages <= MESSAGES_MAX) return;
  session_refuse(CONTROL, flood);
  _exit(failure_code(s, flood));
}

/* The TLS side of the session, not connected yet. NULL, or why there is none. */
static char const *prepare(struct session *s, struct context *c, SSL **ssl)
{
  *ssl = SSL_new(c->ctx);
  if (!*ssl) return "out of memory";
  s->messages = 0;
  SSL_set_msg_callback(*ssl, on_message);
  SSL_set_msg_callback_arg(*ssl, s);
  if (s->q.role == TLSWIRE_CLIENT) return peer_expect(&s->peer, *ssl, &c->stores);
  SSL_set_accept_state(*ssl);
  return 0;
}

/* Take the request. 1, or 0 after an answer. */
static int take(int control, struct session *s, struct context *c, SSL **ssl)
{
  int fd[2];
  char const *why = receive(control, s, c->role, fd);
  if (!why) why = prepare(s, c, ssl);
  if (!why && !s->number++ && !confine()) why = "unable to confine myself";
  if (!why && (!move(fd[0], NET) || !move(fd[1], PLAIN))) why = strerror(errno);
  if (why) session_refuse(control, why);
  else answer(control, TLSWIRE_GO, "", 0);
  return !why;
}

/* The last of what only the first session needs. */
static int leave_the_rest(int control)
{
  if (!move(control, CONTROL)) return 0;
  closefrom(DESCRIPTORS);
  return set_limit(RLIMIT_NOFILE, DESCRIPTORS);
}

/* Wait for the word. Exits without it. */
static void await_begin(struct session const *s)
{
  struct pollfd x = { .fd = CONTROL, .events = POLLIN };
  int client = s->q.role == TLSWIRE_CLIENT;
  char c = 0;
  if (poll(&x, 1, client ? BEGIN_CLIENT_MS : BEGIN_MS) != 1 ||
      recv(CONTROL, &c, 1, MSG_DONTWAIT) != 1 || c != TLSWIRE_BEGIN || !without_waiting(NET))
    _exit(client && c == TLSWIRE_REFUSED && s->peer.level == TLSWIRE_MAY ? MEMORY_FAILED
                                                                         : MEMORY_NOTHING);
}

/* --- the handshake --- */

static char const *reason(struct session const *s, int ssl_error)
{
  unsigned long e = ERR_peek_error();
  char const *text = e ? ERR_reason_error_string(e) : 0;
  if (s->q.role == TLSWIRE_CLIENT && ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED)
    return s->peer.why;
  if (ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING ||
      (ssl_error == SSL_ERROR_SYSCALL && !errno))
    return s->q.role == TLSWIRE_CLIENT ? "closed by server" : "closed by client";
  if (text) return text;
  return ssl_error == SSL_ERROR_SYSCALL ? strerror(errno) : "no reason is known";
}

/* 1, or 0 and <*why>; "" when nobody waits for it any more. */
static int handshake(struct session const *s, SSL *ssl, char const **why)
{
  uint64_t end = clock_ms() + s->q.limit_ms;
  for (;;) {
    struct pollfd x[2] = { { .fd = NET }, { .fd = CONTROL, .events = POLLIN } };
    ERR_clear_error();
    errno = 0;
    int r = SSL_do_handshake(ssl);
    if (r == 1) return 1;
    int e = SSL_get_error(ssl, r);
    if (e == SSL_ERROR_WANT_READ) x[0].events = POLLIN;
    else if (e == SSL_ERROR_WANT_WRITE) x[0].events = POLLOUT;
    else return (*why = reason(s, e), 0);
    uint64_t now = clock_ms();
    *why = "timeout";
    if (now >= end) return 0;
    r = poll(x, 2, (int)(end - now));
    if (!r) return 0;
    if (x[1].revents) return (*why = "", 0);
  }
}

static void report_client(SSL *ssl)
{
  char text[TLSWIRE_MAX - 1], subject[256] = "";
  char const *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  X509 *client = SSL_get0_peer_certificate(ssl);
  if (client && SSL_get_verify_result(ssl) == X509_V_OK)
    X509_NAME_oneline(X509_get_subject_name(client), subject, sizeof subject);
  int n = snprintf(text, sizeof text, "%s%c%s%c%.255s%c%s", SSL_get_version(ssl), 0,
                   SSL_get_cipher_name(ssl), 0, name ? name : "", 0, subject);
  answer(CONTROL, TLSWIRE_OK, text, (size_t)n + 1);
}

static void report_server(SSL *ssl, struct peer const *p)
{
  char text[TLSWIRE_MAX - 1];
  int n = snprintf(text, sizeof text, "%s%c%s%c%s%c%s", SSL_get_version(ssl), 0,
                   SSL_get_cipher_name(ssl), 0, p->verified, 0, p->why);
  answer(CONTROL, TLSWIRE_OK, text, (size_t)n + 1);
}

/* With a TLS server. */
static void __attribute__((noreturn)) serve_client(struct session *s, SSL *ssl)
{
  static char const nothing_came[] = "ended with the handshake";
  report_server(ssl, &s->peer);
  enum shovel_result r = shovel(ssl, NET, PLAIN);
  if (r == SHOVEL_LOST) session_refuse(CONTROL, nothing_came);
  _exit(r == SHOVEL_UNUSED ? MEMORY_NOTHING
        : r == SHOVEL_LOST ? failure_code(s, nothing_came)
                           : MEMORY_WORKS);
}

/* Ciphers without certificates, where control/tlsclientciphers has such, ask nobody. */
static int is_verified(struct session const *s)
{
  return s->q.role != TLSWIRE_CLIENT || s->peer.level != TLSWIRE_VERIFY ||
         strcmp(s->peer.verified, TLSWIRE_NOT);
}

/* 1 when another session may follow. */
static int serve(struct session *s, SSL *ssl)
{
  char const *why = "";
  await_begin(s);
  if (SSL_set_fd(ssl, NET) != 1) _exit(MEMORY_NOTHING);
  int ok = handshake(s, ssl, &why);
  if (ok && !is_verified(s)) ok = 0, why = "it has shown no certificate";
  if (!ok) {
    session_refuse(CONTROL, why);
    if (*why) shovel_linger(NET);
    _exit(failure_code(s, why));
  }
  if (s->q.role == TLSWIRE_CLIENT) serve_client(s, ssl);
  report_client(ssl);
  return shovel(ssl, NET, PLAIN) == SHOVEL_ORDERLY;
}

/* --- the next --- */

/* Nothing of its text stays in memory, and no descriptor. */
static void forget(SSL *ssl)
{
  SSL_set_options(ssl, SSL_OP_CLEANSE_PLAINTEXT);
  SSL_free(ssl);
  close(NET);
  close(PLAIN);
}

/* 1 when a request has come for this process as it is. */
static int await_next(struct context const *c, pid_t parent, uint64_t until)
{
  struct pollfd x = { .fd = CONTROL, .events = POLLIN };
  uint64_t now = clock_ms();
  if (now >= until) return 0;
  answer(CONTROL, TLSWIRE_IDLE, "", 0);
  return poll(&x, 1, until - now < SESSION_IDLE_MS ? (int)(until - now) : SESSION_IDLE_MS) == 1 &&
         !(x.revents & (POLLHUP | POLLERR)) && context_is_current(c) && getppid() == parent;
}

void session_run(int control, struct context *c)
{
  static struct session s;
  uint64_t until = clock_ms() + TLSWIRE_AGAIN_MS;
  pid_t parent = getppid();
  SSL *ssl;
  if (!take(control, &s, c, &ssl) || !leave_the_rest(control)) _exit(MEMORY_NOTHING);
  while (serve(&s, ssl)) {
    forget(ssl);
    if (!await_next(c, parent, until) || !take(CONTROL, &s, c, &ssl)) break;
  }
  _exit(MEMORY_NOTHING);
}
