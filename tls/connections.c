/* connections.c - who may have a session, and gets one; see connections.h */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/sig.h>
#include <skalibs/strerr.h>

#include "clock.h"
#include "connections.h"
#include "memory.h"
#include "program.h"
#include "session.h"
#include "signals.h"
#include "tickets.h"
#include "tlswire.h"

#define CHECK_MS 1000 /* how often files are looked at for changes, while sessions come */
#define PAUSE_MS 1000 /* without connections, when there are no descriptors */

static void become_session(struct tlsd *d, int sock)
{
  sig_altignore(SIGHUP);
  signals_leave(d->signals, (int const[]){ SIGCHLD, SIGTERM, 0 });
  close(d->listener);
  if (d->context.loader.fd != -1) close(d->context.loader.fd);
  for (size_t i = 0; i < d->waiting; i++)
    if (d->wait[i] != sock) close(d->wait[i]);
  session_run(sock, &d->context);
}

void connections_refresh(struct tlsd *d, int always)
{
  d->checked = clock_ms();
  if (!context_refresh(&d->context, always))
    strerr_dief(EXIT_TEMPORARY, "the process that reads keys has ended");
}

/* What was not read when we close would make a reset of the answer. */
static void refuse(int sock, char const *why)
{
  char c;
  recv(sock, &c, 1, MSG_DONTWAIT);
  session_refuse(sock, why);
}

/* What the request on <sock>, which stays there, calls its server: the key of that, or 0; and whether
 * it may do without TLS. */
static uint64_t key_of_request(struct tlsd const *d, int sock, int *may)
{
  char packet[TLSWIRE_MAX];
  struct tlswire_request q;
  if (d->context.role != TLSWIRE_CLIENT) return 0;
  ssize_t n = recv(sock, packet, sizeof packet, MSG_PEEK | MSG_DONTWAIT);
  if (n < (ssize_t)sizeof q) return 0;
  memcpy(&q, packet, sizeof q);
  *may = q.level == TLSWIRE_MAY;
  return memory_key(packet + sizeof q, strnlen(packet + sizeof q, (size_t)n - sizeof q));
}

static void start_session(struct tlsd *d, int sock)
{
  char why[64];
  int may = 0;
  uint64_t key = key_of_request(d, sock, &may);
  if (may && memory_has_failed(key)) {
    char c;
    recv(sock, &c, 1, MSG_DONTWAIT);
    session_dissuade(sock, "failed lately");
    return;
  }
  if (d->sessions >= d->context.sessions) {
    snprintf(why, sizeof why, "as many sessions as control/%s allows", context_limit(&d->context));
    refuse(sock, why);
    return;
  }
  if (clock_ms() - d->checked >= CHECK_MS) connections_refresh(d, 0);
  pid_t pid = d->context.role == TLSWIRE_CLIENT || tickets_renew() ? program_fork() : -1;
  if (!pid) become_session(d, sock);
  if (pid > 0) {
    d->sessions++;
    if (key) memory_begun(key, pid);
  } else {
    refuse(sock, "no process for this session");
  }
}

/* Only one account may ask: a client of TLS sees our certificate, but others are not to
 * have keys used for what they like, nor to use up sessions, nor to say which servers fail. */
static int is_permitted(struct tlsd const *d, int sock)
{
  struct ucred peer;
  socklen_t len = sizeof peer;
  return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
         (!peer.uid || peer.uid == d->accounts.uid[d->asker] ||
          peer.uid == d->accounts.uid[d->self]);
}

/* Those who have said something, or have gone. */
static void hear_all(struct tlsd *d)
{
  char c;
  for (size_t i = d->waiting; i--;)
    if (recv(d->wait[i], &c, 1, MSG_PEEK | MSG_DONTWAIT) != -1 || errno != EAGAIN)
      connections_hear(d, i);
}

/* Where all of them are silent, whoever waits for the longest time has to go for who comes. */
static void let_wait(struct tlsd *d, int sock)
{
  if (d->waiting == TLSD_WAITING) hear_all(d);
  if (d->waiting == TLSD_WAITING) {
    close(d->wait[0]);
    memmove(d->wait, d->wait + 1, --d->waiting * sizeof *d->wait);
  }
  d->wait[d->waiting++] = sock;
}

void connections_take(struct tlsd *d)
{
  for (int n = 0; n < TLSD_WAITING; n++) {
    int sock = accept4(d->listener, 0, 0, SOCK_CLOEXEC);
    if (sock == -1 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (sock == -1) {
      if (errno == EAGAIN) return;
      strerr_warnwusys("accept a connection; pausing");
      d->paused_until = clock_ms() + PAUSE_MS;
      return;
    }
    if (is_permitted(d, sock)) {
      let_wait(d, sock);
    } else {
      refuse(sock, "not permitted");
      close(sock);
    }
  }
}

/* Many only look whether we are here. */
void connections_hear(struct tlsd *d, size_t i)
{
  char c;
  int sock = d->wait[i];
  if (recv(sock, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1) start_session(d, sock);
  close(sock);
  d->waiting--;
  memmove(d->wait + i, d->wait + i + 1, (d->waiting - i) * sizeof *d->wait);
}
