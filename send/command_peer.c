/* command_peer.c - the connections of those who command send; see command_peer.h
 *
 * Nothing here waits: what a peer does not take at once it is told later, or it
 * is dropped.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "command_peer.h"
#include "home.h"

#define BACKLOG     16
#define ACCEPT_MAX  16  /* connections taken in one go */
#define GROUPS_MAX  256 /* supplementary groups of a peer that are looked at */
#define SOCKET_MASK 0117

int peers_listen(struct peers *ps, int group)
{
  struct sockaddr_un sa;
  ps->group = group;
  ps->gid = getegid();
  for (size_t i = 0; i < COMMAND_PEERS; i++) ps->all[i].fd = -1;
  if (!home_socket(&sa, SENDWIRE_SOCKET)) return 0;
  if (unlink(sa.sun_path) == -1 && errno != ENOENT) return 0;
  ps->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (ps->fd == -1) return 0;
  mode_t mask = umask(SOCKET_MASK);
  int r = bind(ps->fd, (struct sockaddr const *)&sa, sizeof sa);
  umask(mask);
  return r == 0 && listen(ps->fd, BACKLOG) == 0;
}

static int is_member(int fd, struct ucred const *peer, gid_t gid)
{
  gid_t groups[GROUPS_MAX];
  socklen_t size = sizeof groups;
  if (peer->gid == gid) return 1;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == -1) return 0;
  for (size_t i = 0; i < size / sizeof *groups; i++)
    if (groups[i] == gid) return 1;
  return 0;
}

static int may_ask(struct peers const *ps, int fd)
{
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == -1) return 0;
  return !peer.uid || peer.uid == geteuid() || (ps->group && is_member(fd, &peer, ps->gid));
}

void peer_lost(struct peer *p)
{
  if (p->fd != -1) close(p->fd);
  p->fd = -1;
  if (p->step <= STEP_LISTING) p->step = STEP_FREE;
}

int peer_answer(struct peer *p, struct sendwire_answer const *a)
{
  char packet[SENDWIRE_MAX];
  size_t len = sendwire_pack_answer(packet, a);
  int final = a->type != 'P' && a->type != 'L';
  ssize_t r = p->fd == -1 ? 0 : send(p->fd, packet, len, MSG_DONTWAIT | MSG_NOSIGNAL);
  p->blocked = r == -1 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM);
  if (p->blocked && p->step == STEP_LISTING) return 0; /* its end comes behind all else */
  if (!final) return !p->blocked;
  p->step = STEP_FREE;
  peer_lost(p);
  return 1;
}

void peer_refuse(struct peer *p, char type, char const *text)
{
  struct sendwire_answer a = { .type = type };
  snprintf(a.text, sizeof a.text, "%s", text);
  peer_answer(p, &a);
}

static struct peer *find_free(struct peers *ps)
{
  for (size_t i = 0; i < COMMAND_PEERS; i++)
    if (ps->all[i].step == STEP_FREE) return ps->all + i;
  return 0;
}

static void take(struct peers *ps, int fd)
{
  struct peer stranger = { .fd = fd };
  struct peer *p = find_free(ps);
  if (!may_ask(ps, fd)) {
    peer_refuse(&stranger, 'D', "not permitted: this obeys root, its own account and its group");
  } else if (!p) {
    peer_refuse(&stranger, 'Z', "too many commands at a time");
  } else {
    uint64_t now = clock_ms();
    *p = (struct peer){ .step = STEP_ASKING, .fd = fd, .deadline = now + COMMAND_SECONDS * 1000,
                        .tell_at = now + COMMAND_TELL };
  }
}

void peers_accept(struct peers *ps)
{
  for (int i = 0; i < ACCEPT_MAX; i++) {
    int fd = accept4(ps->fd, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd == -1 && errno != EINTR && errno != ECONNABORTED) return;
    if (fd != -1) take(ps, fd);
  }
}

int peer_read(struct peer *p)
{
  char const *why;
  ssize_t n = recv(p->fd, p->packet, sizeof p->packet, MSG_DONTWAIT | MSG_TRUNC);
  if (n == -1 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (n <= 0) {
    peer_lost(p);
    return 0;
  }
  if ((size_t)n > sizeof p->packet) why = "too long";
  else if (sendwire_unpack(p->packet, (size_t)n, &p->command, &p->sel, &why)) return 1;
  peer_refuse(p, 'D', why);
  return 0;
}
