/* handed.c - take clients over from pipit-handover; see handed.h and handover.h */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fdpass.h"
#include "handed.h"
#include "handover.h"
#include "stream.h"
#include "tcprules.h"

static char const *why;

char const *handed_why(void)
{
  return why;
}

static int fail(char const *text)
{
  why = text;
  return 0;
}

void handed_refuse(int front)
{
  send(front, HANDOVER_REFUSED, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Who may say whom we serve: our own account, and root. */
static int is_trusted(int front)
{
  struct ucred peer;
  socklen_t len = sizeof peer;
  return getsockopt(front, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
         (peer.uid == geteuid() || !peer.uid);
}

/* The packet may be a moment behind the connection. */
static ssize_t receive(int front, char *buf, size_t size, int fds[2])
{
  struct pollfd x = { .fd = front, .events = POLLIN };
  ssize_t n = fdpass_recv(front, buf, size, MSG_DONTWAIT, fds, 2);
  if (n != -1 || errno != EAGAIN || poll(&x, 1, HANDED_WAIT_MS) != 1) return n;
  return fdpass_recv(front, buf, size, MSG_DONTWAIT, fds, 2);
}

/* Is it one of the variables that a session reads, and the first of that name? */
static int is_believed(char const *var, stralloc const *rule)
{
  for (char const *const *name = client_variables; *name; name++) {
    size_t len = strlen(*name);
    if (!strncmp(var, *name, len) && var[len] == '=') return !tcprules_value(rule, *name);
  }
  return 0;
}

/* Write what of the environment s[0..len) is to be believed as instructions. */
static int make_rule(stralloc *rule, char const *s, size_t len)
{
  rule->len = 0;
  if (!len || s[len - 1]) return fail("no environment came along");
  for (char const *end = s + len; s < end; s += strlen(s) + 1)
    if (is_believed(s, rule) &&
        (!stralloc_catb(rule, "+", 1) || !stralloc_catb(rule, s, strlen(s) + 1)))
      return fail("out of memory");
  return rule->len <= WORKER_RULE_MAX || fail("its environment is too long");
}

int handed_take(int front, struct guest *g, stralloc *rule)
{
  static char environment[HANDOVER_BYTES_MAX];
  int fds[2];
  if (!is_trusted(front)) return fail("another account's");
  ssize_t n = receive(front, environment, sizeof environment, fds);
  *g = (struct guest){ .fd = fds[0], .front = front, .client = { .ip = "" } };
  int ok = n > 0 ? make_rule(rule, environment, (size_t)n) : fail(n ? strerror(errno) : "closed");
  if (n > 0) explicit_bzero(environment, (size_t)n); /* children get a copy of our memory */
  if (ok && (fds[1] == -1 || !stream_is_one_socket(fds[0], fds[1]))) ok = fail("not one socket");
  if (ok) client_find(&g->client, rule, g->fd);
  if (fds[1] != -1) close(fds[1]);
  if (ok) return 1;
  if (fds[0] != -1) close(fds[0]);
  return 0;
}
