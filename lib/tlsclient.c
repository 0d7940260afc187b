/* tlsclient.c - ask pipit-tlsd for a session; see tlsclient.h */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "fdpass.h"
#include "localsocket.h"
#include "tlsclient.h"

static enum tlsclient_result lost(struct tlsclient *t, char const *what)
{
  snprintf(t->why, sizeof t->why, "%s", what);
  return TLSCLIENT_LOST;
}

static char const gone[] = "pipit-tlsd went away";

void tlsclient_keep(char *to, size_t size, char const *from, char const *unwanted)
{
  size_t i = 0;
  for (; from[i] && i < size - 1; i++) {
    unsigned char c = (unsigned char)from[i];
    to[i] = c < 32 || c > 126 || strchr(unwanted, c) ? '?' : from[i];
  }
  to[i] = 0;
}

int tlsclient_await(int fd, uint64_t end, volatile sig_atomic_t const *stop,
                    char why[TLSCLIENT_WHY_MAX])
{
  char const *what = 0;
  while (!what) {
    struct pollfd x = { .fd = fd, .events = POLLIN };
    uint64_t now = clock_ms();
    if (stop && *stop) what = "shutdown";
    else if (now >= end) what = "timeout";
    if (what) break;
    int r = poll(&x, 1, end - now < TLSCLIENT_STEP_MS ? (int)(end - now) : TLSCLIENT_STEP_MS);
    if (r > 0) return 1;
    if (r == -1 && errno != EINTR) what = strerror(errno);
  }
  snprintf(why, TLSCLIENT_WHY_MAX, "%s", what);
  return 0;
}

int tlsclient_is_there(char const *path)
{
  int fd = localsocket_reach(path);
  if (fd != -1) close(fd);
  return fd != -1;
}

/* One packet, as a string. Its length; 0 and why. */
static size_t hear(struct tlsclient *t, char packet[TLSWIRE_MAX], uint64_t end,
                   volatile sig_atomic_t const *stop)
{
  if (!tlsclient_await(t->control, end, stop, t->why)) return 0;
  ssize_t n = fdpass_recv(t->control, packet, TLSWIRE_MAX - 1, 0, 0, 0);
  if (n <= 0) {
    lost(t, gone);
    return 0;
  }
  packet[n] = 0;
  for (char *s = packet + 1; *s; s++) /* why something failed goes to logs and reports */
    if ((unsigned char)*s < 32 || (unsigned char)*s > 126) *s = '?';
  return (size_t)n;
}

/* Over t->control. */
static enum tlsclient_result ask(struct tlsclient *t, int net, struct tlswire_request const *q,
                                 char const *s, size_t len)
{
  char packet[TLSWIRE_MAX];
  struct iovec v[2] = { { (void *)(uintptr_t)q, sizeof *q }, { (void *)(uintptr_t)s, len } };
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1) return lost(t, strerror(errno));
  t->plain = ends[0];
  int sent = fdpass_send(t->control, v, len ? 2 : 1, (int[]){ net, ends[1] }, 2);
  int error = errno;
  close(ends[1]);
  if (sent != 1) return lost(t, strerror(error));
  if (!hear(t, packet, clock_ms() + TLSCLIENT_ANSWER_MS, 0)) return TLSCLIENT_LOST;
  if (packet[0] == TLSWIRE_GO) return TLSCLIENT_OK;
  lost(t, packet[0] == TLSWIRE_FAILED || packet[0] == TLSWIRE_PLAIN ? packet + 1 : gone);
  return packet[0] == TLSWIRE_PLAIN ? TLSCLIENT_PLAIN : TLSCLIENT_LOST;
}

enum tlsclient_result tlsclient_ask(struct tlsclient *t, char const *path, int net,
                                    struct tlswire_request const *q, char const *s, size_t len)
{
  *t = (struct tlsclient)TLSCLIENT_NONE;
  t->control = localsocket_reach(path);
  return t->control == -1 ? lost(t, strerror(errno)) : ask(t, net, q, s, len);
}

int tlsclient_ask_again(struct tlsclient *t, int net, struct tlswire_request const *q)
{
  char c;
  if (recv(t->control, &c, 1, MSG_DONTWAIT) == 1 && c == TLSWIRE_IDLE &&
      ask(t, net, q, 0, 0) == TLSCLIENT_OK)
    return 1;
  tlsclient_end(t);
  return 0;
}

static void take_facts(struct tlsclient_facts *f, char const *s, char const *end)
{
  struct { char *to; size_t size; char const *unwanted; } const to[TLSWIRE_FACTS] = {
    { f->protocol, sizeof f->protocol, TLSCLIENT_WORD }, { f->cipher, sizeof f->cipher, TLSCLIENT_WORD },
    { f->third, sizeof f->third, TLSCLIENT_WORD }, { f->fourth, sizeof f->fourth, TLSCLIENT_TEXT }
  };
  for (size_t i = 0; i < TLSWIRE_FACTS && s < end; i++, s += strlen(s) + 1)
    tlsclient_keep(to[i].to, to[i].size, s, to[i].unwanted);
}

enum tlsclient_result tlsclient_begin(struct tlsclient *t, struct tlsclient_facts *f, uint64_t end,
                                      volatile sig_atomic_t const *stop)
{
  char packet[TLSWIRE_MAX];
  memset(f, 0, sizeof *f);
  if (send(t->control, &(char){ TLSWIRE_BEGIN }, 1, MSG_NOSIGNAL) != 1) return lost(t, gone);
  size_t n = hear(t, packet, end, stop);
  if (!n) return TLSCLIENT_LOST;
  if (packet[0] == TLSWIRE_OK) {
    take_facts(f, packet + 1, packet + n);
    return TLSCLIENT_OK;
  }
  lost(t, packet[0] == TLSWIRE_FAILED ? packet + 1 : gone);
  return packet[0] == TLSWIRE_FAILED ? TLSCLIENT_PEER : TLSCLIENT_LOST;
}

int tlsclient_blames_peer(struct tlsclient *t, uint64_t end)
{
  char packet[TLSWIRE_MAX];
  size_t n = hear(t, packet, end, 0);
  if (!n || packet[0] != TLSWIRE_FAILED) return 0;
  lost(t, packet + 1);
  return 1;
}

void tlsclient_refused(struct tlsclient *t)
{
  send(t->control, &(char){ TLSWIRE_REFUSED }, 1, MSG_NOSIGNAL);
}

void tlsclient_end(struct tlsclient *t)
{
  if (t->plain != -1) close(t->plain);
  if (t->control != -1) close(t->control);
  t->control = t->plain = -1;
}
