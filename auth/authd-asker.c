/* authd-asker.c - a connection, from the question to the answer; see authd.h
 *
 * Of what stands in a question nothing is looked into but its lengths, the form of the address, and
 * that there are no NULs; it goes to the program as it is, in a pipe.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/strerr.h>

#include "authclient.h"
#include "authd.h"
#include "checker.h"
#include "clock.h"
#include "fdpass.h"
#include "home.h"
#include "logline.h"
#include "open.h"
#include "program.h"

#define PAUSE_MS 1000 /* without connections, when there are no descriptors */
#define MARK     "K"

/* --- the end of it --- */

static void shut(int *fd)
{
  if (*fd != -1) close(*fd);
  *fd = -1;
}

/* Its program is killed, unless it serves a session. */
static void forget(struct asker *a)
{
  if (a->pid && a->state != ASKER_SESSION) kill(-a->pid, SIGKILL);
  shut(&a->fd);
  shut(&a->scram);
  shut(&a->mark);
  shut(&a->client);
  explicit_bzero(a->secret, sizeof a->secret);
  a->secretlen = 0;
  a->state = ASKER_FREE; /* the program's end will find nobody */
  a->pid = 0;
}

static void end(struct asker *a, char kind, char const *s)
{
  answer(a, kind, s, strlen(s));
  forget(a);
}

/* --- the question --- */

static struct asker *find_free(struct authd *d, int is_opener)
{
  struct asker *found = 0;
  size_t openers = 0;
  for (size_t i = 0; i < AUTHD_ASKERS; i++) {
    struct asker *a = &d->askers[i];
    if (a->state == ASKER_FREE) found = a;
    else openers += a->is_opener;
  }
  return is_opener && openers >= AUTHD_OPENERS ? 0 : found;
}

/* Who may check logins may guess at them: the servers' account alone. */
static int is_permitted(struct authd const *d, int fd, int is_opener, uid_t *uid)
{
  struct ucred peer;
  socklen_t len = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1) return 0;
  *uid = peer.uid;
  return is_opener || !peer.uid || peer.uid == d->accounts.uid[ACCOUNT_SMTPD];
}

void asker_accept(struct authd *d, int listener, int is_opener)
{
  uid_t uid = 0;
  int fd = accept4(listener, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd == -1) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    strerr_warnwusys("accept a connection; pausing");
    d->paused_until = clock_ms() + PAUSE_MS;
    return;
  }
  struct asker *a = is_permitted(d, fd, is_opener, &uid) ? find_free(d, is_opener) : 0;
  if (!a) {
    close(fd);
    return;
  }
  *a = (struct asker){ .state = ASKER_NEW, .fd = fd, .is_opener = is_opener, .uid = uid, .scram = -1,
                       .mark = -1, .client = -1, .end = clock_ms() + AUTHD_QUESTION_MS };
}

/* How many programs check a password now, in all and of this client; and how many serve sessions. */
static int is_full(struct authd const *d, struct asker const *asker)
{
  unsigned int checks = 0, client = 0, sessions = 0, client_sessions = 0;
  for (size_t i = 0; i < AUTHD_ASKERS; i++) {
    struct asker const *a = &d->askers[i];
    int is_same = !strcmp(a->q.ip, asker->q.ip) && *a->q.ip;
    if (a->state == ASKER_SESSION) {
      sessions++;
      client_sessions += is_same;
    }
    if (a->state != ASKER_CHECKED && a->state != ASKER_HELD) continue;
    checks += a->state == ASKER_CHECKED;
    client += is_same;
  }
  return checks >= d->checks || client >= d->checks_per_client ||
         (asker->q.session && (sessions >= d->sessions || client_sessions >= AUTHD_SESSIONS_CLIENT));
}

static int is_address(char const s[INET6_ADDRSTRLEN + 2])
{
  size_t len = strnlen(s, INET6_ADDRSTRLEN + 2);
  return len < INET6_ADDRSTRLEN + 2 && strspn(s, "0123456789abcdefABCDEF:.") == len;
}

/* 1 when the packet is a question to the letter. */
static int is_question(struct asker *a, char const *packet, size_t len)
{
  struct authwire_request *q = &a->q;
  if (len < sizeof *q) return 0;
  memcpy(q, packet, sizeof *q);
  if (len != sizeof *q + q->loginlen + q->secretlen + q->extralen) return 0;
  if (q->loginlen > AUTHWIRE_LOGIN_MAX || q->secretlen > AUTHWIRE_DATA_MAX || q->extralen > AUTHWIRE_SCRAM_MAX ||
      memchr(packet + sizeof *q, 0, len - sizeof *q))
    return 0;
  if (!is_address(q->localip) || q->mechanism >= AUTHWIRE_MECHANISM_COUNT || q->service >= AUTHWIRE_SERVICE_COUNT)
    return 0;
  if (!is_address(q->ip)) memset(q->ip, 0, sizeof q->ip); /* "local", "unknown" */
  if ((q->session == 1) != (a->client != -1) || q->session > 1) return 0;
  memcpy(a->login, packet + sizeof *q, q->loginlen);
  a->loginlen = q->loginlen;
  return 1;
}

/* --- the program --- */

static void put(char const *name, char const *value)
{
  if (*value) setenv(name, value, 1);
  else unsetenv(name);
}

/* What tcpserver would have told it. */
static void set_environment(struct asker const *a)
{
  put("PROTO", "TCP");
  put("TCPREMOTEIP", a->q.ip);
  put("TCPLOCALIP", a->q.localip);
  put("SERVICE", auth_service_name(a->q.service));
}

/* The checker, and what it is to execute. 1, or 0. */
static int command(struct authd const *d, struct asker const *a, char *argv[AUTHD_ARGS + 8])
{
  static char paths[3][600];
  size_t n = 0;
  for (; d->checker[n]; n++) argv[n] = d->checker[n];
  if (a->q.kind == AUTHWIRE_SCRAM) argv[n++] = (char *)"-s";
  if (a->q.session) {
    snprintf(paths[0], sizeof paths[0], "%s", home_program("pipit-authok"));
    snprintf(paths[1], sizeof paths[1], "%s", home_program("pipit-pop3d"));
    argv[n++] = paths[0];
    argv[n++] = paths[1];
    argv[n++] = (char *)d->maildir;
  } else {
    argv[n++] = (char *)"true";
  }
  argv[n] = 0;
  return n < AUTHD_ARGS + 8;
}

/* Descriptor 3: for SCRAM one end of a socket, in which the client's first message waits; else
 * a pipe with what a checkpassword program reads. -1 with errno. */
static int make_input(struct authd const *d, struct asker *a, char const *s)
{
  char data[AUTHWIRE_DATA_MAX];
  char const *login = s, *secret = s + a->q.loginlen, *extra = secret + a->q.secretlen;
  if (a->q.kind == AUTHWIRE_SCRAM) {
    int ends[2];
    struct iovec v[2] = { { &(char){ AUTHWIRE_DATA }, 1 }, { (char *)extra, a->q.extralen } };
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1) return -1;
    a->scram = ends[0];
    fcntl(a->scram, F_SETFL, O_NONBLOCK);
    fdpass_send(a->scram, v, 2, 0, 0);
    return ends[1];
  }
  if ((size_t)a->q.loginlen + a->q.secretlen + a->q.extralen + 3 > sizeof data) return (errno = EMSGSIZE, -1);
  int swap = d->challenge_first && a->q.mechanism == AUTHWIRE_CRAM_MD5;
  int n = snprintf(data, sizeof data, "%.*s%c%.*s%c%.*s", a->q.loginlen, login, 0,
                   swap ? a->q.extralen : a->q.secretlen, swap ? extra : secret, 0,
                   swap ? a->q.secretlen : a->q.extralen, swap ? secret : extra);
  int fd = checker_data(data, (size_t)n + 1);
  explicit_bzero(data, sizeof data);
  memcpy(a->secret, secret, a->q.secretlen);
  a->secretlen = a->q.kind == AUTHWIRE_CHECK && !a->q.extralen ? a->q.secretlen : 0;
  return fd;
}

/* 1, or 0 with errno. */
static int start(struct authd *d, struct asker *a, char const *strings)
{
  char *argv[AUTHD_ARGS + 8];
  int mark[2] = { -1, -1 };
  int input = make_input(d, a, strings);
  if (input == -1 || (a->q.session && pipe2(mark, O_CLOEXEC | O_NONBLOCK) == -1)) {
    int e = errno;
    shut(&input);
    return (errno = e, 0);
  }
  a->mark = mark[0];
  set_environment(a);
  pid_t pid = command(d, a, argv) ? checker_start(argv, input, mark[1], a->client, a->client) : -1;
  int e = errno;
  shut(&input);
  shut(&mark[1]);
  if (pid == -1) return (errno = e, 0);
  a->pid = pid;
  a->state = ASKER_CHECKED;
  a->end = clock_ms() + (a->scram == -1 ? d->check_s * 1000 : AUTHD_SCRAM_MS);
  return 1;
}

/* Does its login have to wait? Then it is told so, and that is all. */
static int has_to_wait(struct asker *a)
{
  struct failures_who w;
  failures_who(&w, a->q.ip, a->login, a->loginlen);
  unsigned int seconds = failures_wait(&w, clock_ms());
  if (!seconds) return 0;
  answer_later(a, seconds);
  forget(a);
  return 1;
}

/* Of SCRAM it is the program that tells whose login it is, before it answers anything. */
static void ask_program(struct authd *d, struct asker *a, char const *strings)
{
  if (a->q.kind != AUTHWIRE_SCRAM && has_to_wait(a)) return;
  if (is_full(d, a)) {
    end(a, AUTHWIRE_FAULT, "too many logins are being checked");
  } else if (!start(d, a, strings)) {
    if (errno == EMSGSIZE) {
      auth_log_failure(PROG, a->q.ip, a->q.service, a->q.mechanism, a->login, a->loginlen);
      end(a, AUTHWIRE_NO, "");
    } else {
      strerr_warnwusys("start a program to check a login");
      end(a, AUTHWIRE_FAULT, "no program can be started");
    }
  }
}

static void take_question(struct authd *d, struct asker *a, char const *packet, size_t len)
{
  if (a->is_opener) {
    answer_opener(d, a, packet, len);
    forget(a);
  } else if (!is_question(a, packet, len)) {
    end(a, AUTHWIRE_FAULT, "not a question");
  } else if (a->q.kind == AUTHWIRE_CHECK || a->q.kind == AUTHWIRE_SCRAM) {
    if (a->q.kind == AUTHWIRE_SCRAM && !d->own_checker) end(a, AUTHWIRE_FAULT, "SCRAM is not spoken");
    else ask_program(d, a, packet + sizeof a->q);
  } else {
    answer_quickly(d, a);
    forget(a);
  }
}

/* That ends all; but a session goes on, and counts. */
static void is_gone(struct asker *a)
{
  if (a->state == ASKER_SESSION) shut(&a->fd);
  else forget(a);
}

/* The client's message goes to the program. */
static void pass_on(struct asker *a, char const *packet, size_t len)
{
  struct iovec v = { (char *)packet, len };
  if (a->state != ASKER_CHECKED || a->scram == -1 || packet[0] != AUTHWIRE_DATA || len > AUTHWIRE_SCRAM_MAX + 1 ||
      fdpass_send(a->scram, &v, 1, 0, 0) != 1)
    end(a, AUTHWIRE_FAULT, "not a conversation");
}

void asker_hear(struct authd *d, struct asker *a)
{
  char packet[AUTHWIRE_MAX];
  int fd = -1;
  ssize_t n = fdpass_recv(a->fd, packet, sizeof packet, MSG_DONTWAIT, &fd, 1);
  if (n == -1 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0 || a->state == ASKER_SESSION) {
    if (fd != -1) close(fd);
    is_gone(a);
    return;
  }
  if (a->state == ASKER_NEW) {
    a->client = fd;
    take_question(d, a, packet, (size_t)n);
  } else {
    if (fd != -1) close(fd);
    pass_on(a, packet, (size_t)n);
  }
  explicit_bzero(packet, (size_t)n);
}

/* --- the verdict --- */

static void log_login(struct asker const *a)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "pipit-authd: login");
  logline_key(&l, "ip", *a->q.ip ? a->q.ip : "local");
  logline_key(&l, "service", auth_service_name(a->q.service));
  logline_key(&l, "mechanism", auth_mechanism_name(a->q.mechanism));
  logline_keyb(&l, "login", a->login, a->loginlen);
  logline_write(&l);
}

/* What is right only after too many guesses, of which others may have run at the same time, counts for
 * nothing. 1 it is in. */
static int is_in(struct asker *a)
{
  struct failures_who w;
  if (has_to_wait(a)) return 0;
  failures_who(&w, a->q.ip, a->login, a->loginlen);
  failures_clear(&w, clock_ms());
  if (a->q.service == AUTHWIRE_POP3 && open_time()) open_add(a->q.ip, 0, 0, clock_ms());
  log_login(a);
  answer(a, AUTHWIRE_OK, a->login, a->loginlen);
  return 1;
}

/* A wrong password gets the answer that the right one would get. An empty login has none that could be found
 * out, so here it need not wait, and each failure of it costs something. */
static void has_failed(struct authd const *d, struct asker *a)
{
  struct failures_who w;
  uint64_t now = clock_ms();
  if (a->loginlen && has_to_wait(a)) return;
  failures_who(&w, a->q.ip, a->login, a->loginlen);
  auth_log_failure(PROG, a->q.ip, a->q.service, a->q.mechanism, a->login, a->loginlen);
  unsigned int times = failures_add(&w, a->secret, a->secretlen, now);
  a->state = ASKER_HELD;
  uint64_t hold = times * d->delay * 1000;
  a->end = now + (hold < AUTHD_HOLD_MS ? hold : AUTHD_HOLD_MS);
  if (!d->delay) end(a, AUTHWIRE_NO, "");
}

static void is_trouble(struct asker *a, char const *what, int code)
{
  char text[AUTH_WHY_MAX];
  snprintf(text, sizeof text, "the program that checks logins %s (%d)", what, code);
  strerr_warnw(text);
  end(a, AUTHWIRE_FAULT, text);
}

/* The last thing that the program said over its socket may still be there to be read. */
static void judge(struct authd *d, struct asker *a, int status)
{
  if (a->scram != -1) asker_hear_program(d, a);
  if (a->mark != -1) asker_mark(d, a);
  if (a->state == ASKER_SESSION || a->state == ASKER_FREE) {
    forget(a);
    return;
  }
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (checker_refused(code)) has_failed(d, a);
  else if (code == -1) is_trouble(a, "was killed by a signal", WTERMSIG(status));
  else if (code) is_trouble(a, "failed with an exit code", code);
  else if (a->q.kind == AUTHWIRE_SCRAM && !a->said_yes) is_trouble(a, "did not say who it is", code);
  else if (is_in(a)) forget(a);
}

void asker_exited(struct authd *d, pid_t pid, int status)
{
  for (size_t i = 0; i < AUTHD_ASKERS; i++) {
    struct asker *a = &d->askers[i];
    if (a->state == ASKER_FREE || a->pid != pid) continue;
    a->pid = 0;
    judge(d, a, status);
    return;
  }
}

/* Whose login it is, a message for the client, or at the end the verdict. The server's last message proves
 * that the password was right: who has to wait gets none. */
void asker_hear_program(struct authd *d, struct asker *a)
{
  char packet[AUTHWIRE_SCRAM_MAX + 1];
  int fd = -1;
  (void)d;
  ssize_t n = fdpass_recv(a->scram, packet, sizeof packet, MSG_DONTWAIT, &fd, 1);
  if (fd != -1) close(fd);
  if (n == -1 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    shut(&a->scram); /* its exit code says the rest */
  } else if (packet[0] == AUTHWIRE_WHO) {
    a->loginlen = (size_t)n - 1 <= sizeof a->login ? (size_t)n - 1 : 0;
    memcpy(a->login, packet + 1, a->loginlen);
  } else if (packet[0] == AUTHWIRE_DATA) {
    if (!has_to_wait(a)) answer(a, AUTHWIRE_DATA, packet + 1, (size_t)n - 1);
  } else {
    a->said_yes = packet[0] == AUTHWIRE_OK && a->loginlen;
    shut(&a->scram);
  }
}

/* The password was right: pipit-pop3d is about to begin. */
void asker_mark(struct authd *d, struct asker *a)
{
  char c;
  (void)d;
  ssize_t n = read(a->mark, &c, 1);
  if (n == -1) return;
  shut(&a->mark);
  if (n == 0) return;
  if (a->scram != -1) asker_hear_program(d, a);
  if (a->q.kind == AUTHWIRE_SCRAM && !a->said_yes) return;
  shut(&a->client);
  if (is_in(a)) {
    a->state = ASKER_SESSION;
    a->end = UINT64_MAX;
  }
}

void asker_time(struct authd *d, struct asker *a, uint64_t now)
{
  (void)d;
  if (now < a->end) return;
  switch (a->state) {
    case ASKER_NEW: forget(a); break;
    case ASKER_HELD: end(a, AUTHWIRE_NO, ""); break;
    case ASKER_CHECKED: end(a, AUTHWIRE_FAULT, "the program that checks logins takes too long"); break;
    default: break;
  }
}
