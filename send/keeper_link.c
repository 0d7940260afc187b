/* keeper_link.c - send's end of the connection to its keeper; see keeper_link.h */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/uint32.h>
#include <skalibs/uint64.h>

#include "clock.h"
#include "keeper_link.h"

#define NAP_MS 10 /* when the kernel has no memory */
#define PREFIX 4 /* bytes of a kept packet's length */

static size_t packet_len(struct keeper_link const *k, size_t at)
{
  uint32_t len;
  uint32_unpack_big(k->kept.s + at, &len);
  return len;
}

void keeper_push(struct keeper_link *k)
{
  k->blocked = 0;
  while (k->fd != -1 && k->unsent < k->kept.len) {
    size_t len = packet_len(k, k->unsent);
    if (send(k->fd, k->kept.s + k->unsent + PREFIX, len, MSG_DONTWAIT | MSG_NOSIGNAL) == -1) {
      if (errno == EINTR) continue;
      if (errno == ENOBUFS || errno == ENOMEM) clock_nap(NAP_MS);
      k->blocked = errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM;
      return;
    }
    k->unsent += PREFIX + len;
  }
}

uint64_t keeper_say(struct keeper_link *k, char type, uint64_t id, uint64_t place,
                    char const *nonce, char const *data, size_t len)
{
  char head[PREFIX + KEEPER_HEAD] = { 0 };
  if (len > KEEPER_PACKET_MAX - KEEPER_HEAD) return (errno = EMSGSIZE, 0);
  if (!stralloc_readyplus(&k->kept, sizeof head + len)) return 0;
  uint32_pack_big(head, (uint32_t)(KEEPER_HEAD + len));
  head[PREFIX] = type;
  uint64_pack_big(head + PREFIX + 1, ++k->seq);
  uint64_pack_big(head + PREFIX + 9, id);
  uint64_pack_big(head + PREFIX + 17, place);
  if (nonce) memcpy(head + PREFIX + 25, nonce, QFILE_NONCE);
  stralloc_catb(&k->kept, head, sizeof head);
  stralloc_catb(&k->kept, data, len);
  if (!k->blocked) keeper_push(k);
  return k->seq;
}

void keeper_covered(struct keeper_link *k, uint64_t seq)
{
  if (seq > k->covered) k->covered = seq;
  while (k->first < k->unsent) {
    uint64_t mine;
    uint64_unpack_big(k->kept.s + k->first + PREFIX + 1, &mine);
    if (mine > seq) break;
    k->first += PREFIX + packet_len(k, k->first);
  }
  if (k->first < k->kept.len / 2) return;
  memmove(k->kept.s, k->kept.s + k->first, k->kept.len - k->first);
  k->kept.len -= k->first;
  k->unsent -= k->first;
  k->first = 0;
}

int keeper_hear(struct keeper_link *k, struct keeper_reply *r)
{
  char packet[KEEPER_REPLY];
  if (k->fd == -1) return 0;
  for (;;) {
    ssize_t n = recv(k->fd, packet, sizeof packet, MSG_DONTWAIT);
    if (n == -1 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
    if (n != sizeof packet) return -1;
    r->type = packet[0];
    uint64_unpack_big(packet + 1, &r->id);
    uint64_unpack_big(packet + 9, &r->num);
    return 1;
  }
}

size_t keeper_backlog(struct keeper_link const *k)
{
  return k->kept.len - k->first;
}

void keeper_attach(struct keeper_link *k, int fd, pid_t pid)
{
  k->fd = fd;
  k->pid = pid;
  k->unsent = k->first;
  keeper_push(k);
}

void keeper_detach(struct keeper_link *k)
{
  if (k->fd != -1) close(k->fd);
  k->fd = -1;
  k->pid = 0;
  k->blocked = 0;
}
