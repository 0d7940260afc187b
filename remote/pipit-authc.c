/* pipit-authc.c - log in for pipit-remote, which has no passwords and no OpenSSL
 *
 * usage: pipit-authc [ -d readyfd ]
 *
 * Listens on run/authc of the instance (lib/authcwire.h). Each login has a process of its own, which
 * reads one line of control/smtpcredentials, forgets the others, gives up the right to open
 * anything, and only then hears what a server says.
 *
 * exit: 0 SIGTERM, 100 wrong usage, 111 local trouble, about which one line is on stderr.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/selfpipe.h>
#include <skalibs/sig.h>
#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "accounts.h"
#include "authcwire.h"
#include "clock.h"
#include "control.h"
#include "fdpass.h"
#include "home.h"
#include "localsocket.h"
#include "logline.h"
#include "priv.h"
#include "program.h"
#include "sandbox.h"
#include "sasl.h"
#include "signals.h"

#define USAGE        "pipit-authc [ -d readyfd ]"
#define MEMORY_MAX   134217728 /* bytes of address space */
#define BACKLOG      256
#define SESSIONS_MAX 1000 /* as many as pipit-rspawn has connections */
#define ASK_SECONDS  10   /* until a connection has said what it wants */
#define PAUSE_MS     100

/* --- one login --- */

static void say(int sock, char kind, char const *s, size_t len)
{
  struct iovec v[2] = { { &kind, 1 }, { (char *)s, len } };
  fdpass_send(sock, v, 2, 0, 0);
}

static void refuse(int sock, char const *why) __attribute__((noreturn));
static void refuse(int sock, char const *why)
{
  say(sock, 'E', why, strlen(why));
  _exit(0);
}

/* Only this account may read the file, and root. 1, or 0 with <*why>. */
static int is_private(char const **why)
{
  struct stat st;
  if (fstatat(home_fd(), "control/" AUTHCWIRE_FILE, &st, 0) == -1) {
    *why = errno == ENOENT ? "control/" AUTHCWIRE_FILE ": missing; write NAME:user:password into it"
                           : "control/" AUTHCWIRE_FILE ": cannot be seen";
    return 0;
  }
  *why = "control/" AUTHCWIRE_FILE ": others can read it; chmod 640, and give it to the group of pipit-authc";
  return !(st.st_mode & S_IRWXO) && (!(st.st_mode & S_IRWXG) || st.st_gid == getegid());
}

/* Copy s[0..len) to <to>. 1, or 0: it is empty or too long. */
static int copy(char *to, size_t *tolen, size_t max, char const *s, size_t len)
{
  if (!len || len > max) return 0;
  memcpy(to, s, len);
  *tolen = len;
  return 1;
}

static int take_entry(struct sasl *s, char const *user)
{
  char const *colon = strchr(user, ':');
  return colon && copy(s->user, &s->userlen, SASL_USER_MAX, user, (size_t)(colon - user)) &&
         copy(s->secret, &s->secretlen, SASL_SECRET_MAX, colon + 1, strlen(colon + 1));
}

/* Find the line of <name>. 1, or 0 with <*why>. */
static int find_entry(struct sasl *s, char const *name, char const **why)
{
  static char text[512];
  stralloc list = STRALLOC_ZERO;
  size_t n = strlen(name);
  int found = control_list(AUTHCWIRE_FILE, &list), ok = 0;
  *why = control_why();
  if (found == -1 && errno == EACCES)
    *why = "control/" AUTHCWIRE_FILE ": not readable for pipit-authc; chmod 640, and give it to that group";
  if (found == 1) {
    snprintf(text, sizeof text, "control/" AUTHCWIRE_FILE ": no line %.80s:user:password", name);
    *why = text;
  }
  for (size_t i = 0; found == 1 && i < list.len && !ok; i += strlen(list.s + i) + 1) {
    if (strncmp(list.s + i, name, n) || list.s[i + n] != ':') continue;
    ok = take_entry(s, list.s + i + n + 1);
    if (ok) break;
    snprintf(text, sizeof text, "control/" AUTHCWIRE_FILE ": %.80s: not NAME:user:password, of 255 bytes each at most", name);
    break;
  }
  if (list.s) explicit_bzero(list.s, list.a);
  stralloc_free(&list);
  return ok;
}

/* Nothing can be opened any more. */
static int confine(void)
{
  struct rlimit const none = { 0, 0 };
  return sandbox_no_exec() != -1 && sandbox_no_files() != -1 &&
         setrlimit(RLIMIT_NPROC, &none) == 0 && setrlimit(RLIMIT_CORE, &none) == 0;
}

/* The next packet, with a NUL behind it; ends the process when there is none. */
static size_t hear(int sock, char buf[AUTHCWIRE_MAX + 1], unsigned int seconds)
{
  struct pollfd x = { .fd = sock, .events = POLLIN };
  if (poll(&x, 1, (int)(seconds * 1000)) != 1) _exit(0);
  ssize_t n = fdpass_recv(sock, buf, AUTHCWIRE_MAX, MSG_DONTWAIT, 0, 0);
  if (n <= 0) _exit(0);
  buf[n] = 0;
  return (size_t)n;
}

/* Learn who is to log in. The mechanisms that the server offers. */
static int take_request(int sock, struct sasl *s, char *buf)
{
  size_t len = hear(sock, buf, ASK_SECONDS);
  char const *why = "malformed request";
  if (len < 3 || !strchr("NU", *buf)) refuse(sock, why);
  if (*buf == 'N') {
    if (memchr(buf + 2, 0, len - 2)) refuse(sock, why);
    if (!is_private(&why) || !find_entry(s, buf + 2, &why)) refuse(sock, why);
  } else {
    size_t userlen = strlen(buf + 2), at = 2 + userlen + 1;
    if (at > len || !copy(s->user, &s->userlen, SASL_USER_MAX, buf + 2, userlen) ||
        !copy(s->secret, &s->secretlen, SASL_SECRET_MAX, buf + at, len - at))
      refuse(sock, why);
  }
  return buf[1];
}

static void log_in(int sock) __attribute__((noreturn));
static void log_in(int sock)
{
  static struct sasl s;
  static char buf[AUTHCWIRE_MAX + 1], line[SASL_LINE_MAX];
  int mechanisms = take_request(sock, &s, buf);
  home_close();
  if (!confine()) refuse(sock, "pipit-authc cannot confine itself");
  size_t n = sasl_begin(&s, mechanisms, line);
  if (!n) refuse(sock, sasl_why());
  say(sock, 'S', line, n);
  for (;;) {
    size_t len = hear(sock, buf, AUTHCWIRE_SECONDS);
    if (*buf == 'D' && len == 1) {
      if (!sasl_accept(&s)) refuse(sock, sasl_why());
      say(sock, 'K', "", 0);
      _exit(0);
    }
    if (*buf != 'C') refuse(sock, "malformed packet");
    if (!sasl_answer(&s, buf + 1, len - 1, line, &n)) refuse(sock, sasl_why());
    say(sock, 'R', line, n);
  }
}

/* --- the main process --- */

struct authc {
  struct accounts accounts;
  int listener, signals, ready_fd;
  int stopping;
  unsigned int sessions;
};

static int is_permitted(struct authc const *d, int sock)
{
  struct ucred peer;
  socklen_t len = sizeof peer;
  return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
         (!peer.uid || peer.uid == d->accounts.uid[ACCOUNT_REMOTE] ||
          peer.uid == d->accounts.uid[ACCOUNT_CREDENTIALS]);
}

static void start_login(struct authc *d, int sock)
{
  pid_t pid = fork();
  if (!pid) {
    selfpipe_finish();
    close(d->listener);
    alarm(AUTHCWIRE_SECONDS);
    log_in(sock);
  }
  if (pid > 0) d->sessions++;
  else strerr_warnwusys("fork");
}

static void take_connection(struct authc *d)
{
  static char const no[] = "not permitted";
  int sock = accept4(d->listener, 0, 0, SOCK_CLOEXEC);
  if (sock == -1) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    strerr_warnwusys("accept a connection; pausing");
    clock_nap(PAUSE_MS);
    return;
  }
  if (is_permitted(d, sock)) start_login(d, sock);
  else say(sock, 'E', no, sizeof no - 1);
  close(sock);
}

static void reap(struct authc *d)
{
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (d->sessions) d->sessions--;
    if (!WIFSIGNALED(status) || WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGTERM) continue;
    struct logline l = LOGLINE_ZERO;
    logline_text(&l, "pipit-authc: alert: login crashed");
    logline_keyn(&l, "pid", (uint64_t)pid);
    logline_keyn(&l, "signal", (uint64_t)WTERMSIG(status));
    logline_write(&l);
  }
}

static void serve(struct authc *d)
{
  while (!d->stopping) {
    struct pollfd x[2] = { { .fd = d->signals, .events = POLLIN },
                           { .fd = d->sessions < SESSIONS_MAX ? d->listener : -1, .events = POLLIN } };
    if (poll(x, 2, -1) == -1 && errno != EINTR) strerr_diefusys(EXIT_TEMPORARY, "poll");
    if (x[0].revents)
      for (int sig; (sig = signals_next()) > 0;) {
        if (sig == SIGCHLD) reap(d);
        else if (sig == SIGTERM) d->stopping = 1;
      }
    if (x[1].revents && !d->stopping) take_connection(d);
  }
}

/* Of files it reads control/ alone; what libcrypto has to load is there. */
static int confine_main(void)
{
  static char control[4096];
  char const *const paths[] = { control, 0 };
  snprintf(control, sizeof control, "%s/control", home_dir());
  return sandbox_no_exec() != -1 && sandbox_read_only(paths) != -1;
}

/* Not dumpable: nobody but root may look into this process or its children. */
static void set_up(struct authc *d)
{
  struct accounts *a = &d->accounts;
  if (!accounts_load(a)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (!a->separated && !accounts_become(a, ACCOUNT_CREDENTIALS)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (!home_enter()) strerr_diefusys(EXIT_TEMPORARY, "enter ", home_dir());
  d->listener = localsocket_listen(AUTHCWIRE_SOCKET, BACKLOG, 0660, a->uid[ACCOUNT_CREDENTIALS],
                                   a->gid[ACCOUNT_REMOTE]);
  if (d->listener == -1)
    strerr_diefusys(EXIT_TEMPORARY, "listen on ", home_dir(), "/" AUTHCWIRE_SOCKET);
  if (!accounts_become(a, ACCOUNT_CREDENTIALS)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (!sasl_prepare()) strerr_dief(EXIT_TEMPORARY, "libcrypto has no SHA-256 or no random bytes");
  if (!priv_limit_memory(MEMORY_MAX) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 || !confine_main())
    strerr_diefusys(EXIT_TEMPORARY, "confine myself");
  d->signals = selfpipe_init();
  if (d->signals == -1 || !selfpipe_trap(SIGCHLD) || !selfpipe_trap(SIGTERM))
    strerr_diefusys(EXIT_TEMPORARY, "catch signals");
  sig_altignore(SIGHUP); /* each login reads the file anew */
}

int main(int argc, char const *const *argv)
{
  static struct authc d;
  program_start("pipit-authc");
  d.ready_fd = program_only_ready(argc, argv, USAGE);
  set_up(&d);
  strerr_warni("ready");
  program_ready(d.ready_fd);
  serve(&d);
  strerr_warni("stopped");
  return 0;
}
