/* shovel.c - one poll loop between TLS and plain text; see shovel.h */

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "clock.h"
#include "shovel.h"

#define STACK_BYTES  65536 /* more than a handshake uses */
#define STACK_SPARED 1024  /* for what is called here */

struct way {
  size_t pos, len; /* s[pos..len) is to be passed on */
  int ended;       /* nothing will come behind it */
  int told;        /* and the other side was told */
  size_t used;     /* s[0..used) had something in it */
  char *s;
};

struct shovel {
  SSL *ssl;
  int net, plain;
  short net_events; /* what SSL waits for */
  short plain_events;
  int net_ready; /* there may be something to read, as far as is known */
  int plain_ready;
  int lost;       /* the network: nothing can be sent any more */
  int used;       /* something came from it */
  int gone;       /* the plain side: nobody is there */
  int given_back; /* memory that is not needed for now */
  uint64_t until; /* when waiting for the network ends, once the plain side is gone */
  struct way in;  /* from the network */
  struct way out; /* to it */
};

/* What the handshake had below this. */
static void give_stack_back(void)
{
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t end = (uintptr_t)__builtin_frame_address(0) - STACK_SPARED;
  madvise((char *)(end - end % page) - STACK_BYTES, STACK_BYTES, MADV_DONTNEED);
}

/* When nothing has come for SHOVEL_QUIET_MS, what the handshake and records needed goes back; most
 * sessions are shorter, and it would cost them a tenth of their CPU. */
static void give_memory_back(struct shovel *s)
{
  s->given_back = 1;
  SSL_free_buffers(s->ssl);
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  give_stack_back();
}

/* 1 when it is to be tried again later. */
static int ssl_waits(struct shovel *s, int result)
{
  int e = SSL_get_error(s->ssl, result);
  if (e == SSL_ERROR_WANT_READ) s->net_events |= POLLIN;
  else if (e == SSL_ERROR_WANT_WRITE) s->net_events |= POLLOUT;
  else return 0;
  return 1;
}

static void fill(struct way *w, size_t n)
{
  w->pos = 0;
  w->len = n;
  if (w->used < n) w->used = n;
}

static int read_net(struct shovel *s)
{
  struct way *w = &s->in;
  if (w->pos < w->len || w->ended) return 0;
  if (!s->net_ready) return (s->net_events |= POLLIN, 0);
  ERR_clear_error();
  int n = SSL_read(s->ssl, w->s, SHOVEL_BYTES);
  s->net_ready = n > 0 && SSL_has_pending(s->ssl);
  if (n > 0) return fill(w, (size_t)n), s->used = 1;
  if (ssl_waits(s, n)) return 0;
  int e = SSL_get_error(s->ssl, n);
  if (e == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
    s->lost = 1;
  if (e == SSL_ERROR_SYSCALL && errno) s->lost = 1;
  return w->ended = 1;
}

static int write_plain(struct shovel *s)
{
  struct way *w = &s->in;
  if (w->pos < w->len) {
    ssize_t n = send(s->plain, w->s + w->pos, w->len - w->pos, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) return (w->pos += (size_t)n, 1);
    if (errno == EAGAIN || errno == EINTR) return (s->plain_events |= POLLOUT, 0);
    w->pos = w->len;
    w->ended = w->told = s->gone = 1;
    return 1;
  }
  if (!w->ended || w->told) return 0;
  shutdown(s->plain, SHUT_WR);
  return w->told = 1;
}

static int read_plain(struct shovel *s)
{
  struct way *w = &s->out;
  if (w->pos < w->len || w->ended) return 0;
  if (!s->plain_ready && !s->gone) return (s->plain_events |= POLLIN, 0);
  ssize_t n = recv(s->plain, w->s, SHOVEL_BYTES, MSG_DONTWAIT);
  s->plain_ready = n == SHOVEL_BYTES;
  if (n > 0) return fill(w, (size_t)n), 1;
  if (n == -1 && (errno == EAGAIN || errno == EINTR)) return (s->plain_events |= POLLIN, 0);
  if (n == -1) s->gone = 1;
  return w->ended = 1;
}

static int write_net(struct shovel *s)
{
  struct way *w = &s->out;
  ERR_clear_error();
  if (w->pos < w->len) {
    int n = SSL_write(s->ssl, w->s + w->pos, (int)(w->len - w->pos));
    if (n > 0) return (w->pos += (size_t)n, 1);
    if (!ssl_waits(s, n)) s->lost = 1;
    return 0;
  }
  if (!w->ended || w->told) return 0;
  SSL_shutdown(s->ssl); /* our close_notify; the peer's comes as the end of the other way */
  shutdown(s->net, SHUT_WR);
  return w->told = 1;
}

/* Do what can be done now. */
static void work(struct shovel *s)
{
  int moved;
  do {
    s->net_events = s->plain_events = 0;
    moved = read_net(s);
    moved |= write_plain(s);
    moved |= read_plain(s);
    moved |= write_net(s);
    if (moved) s->given_back = 0;
  } while (moved && !s->lost);
}

static int is_over(struct shovel const *s)
{
  return s->lost || (s->out.told && (s->gone || s->in.told));
}

static int milliseconds_left(struct shovel *s)
{
  uint64_t now = clock_ms();
  if (!s->gone) return s->given_back ? -1 : SHOVEL_QUIET_MS;
  if (!s->until) s->until = now + SHOVEL_FLUSH_MS;
  return s->until > now ? (int)(s->until - now) : 0;
}

void shovel_linger(int net)
{
  char thrown_away[4096];
  uint64_t end = clock_ms() + SHOVEL_LINGER_MS;
  struct pollfd x = { .fd = net, .events = POLLIN };
  shutdown(net, SHUT_WR);
  for (uint64_t now; (now = clock_ms()) < end;)
    if (poll(&x, 1, (int)(end - now)) <= 0 ||
        recv(net, thrown_away, sizeof thrown_away, MSG_DONTWAIT) <= 0)
      return;
}

enum shovel_result shovel(SSL *ssl, int net, int plain)
{
  static char in[SHOVEL_BYTES], out[SHOVEL_BYTES]; /* cost nothing until they are used */
  struct shovel s = { .ssl = ssl, .net = net, .plain = plain, .net_ready = 1, .plain_ready = 1,
                      .in = { .s = in }, .out = { .s = out } };
  for (;;) {
    work(&s);
    if (is_over(&s)) break;
    /* An end that is known would wake the loop for ever. */
    struct pollfd x[2] = { { .fd = s.net_events ? net : -1, .events = s.net_events },
                           { .fd = s.gone ? -1 : plain, .events = s.plain_events } };
    int left = milliseconds_left(&s);
    int r = left ? poll(x, 2, left) : 0;
    if ((!r && s.gone) || (r == -1 && errno != EINTR)) break;
    if (!r) give_memory_back(&s);
    if (x[0].revents & ~POLLOUT) s.net_ready = 1;
    if (x[1].revents & ~POLLOUT) s.plain_ready = 1;
    if (x[1].revents & (POLLHUP | POLLERR)) s.gone = 1;
  }
  if (s.out.told) shovel_linger(net);
  explicit_bzero(in, s.in.used);
  explicit_bzero(out, s.out.used);
  if (s.used) return s.lost ? SHOVEL_USED : SHOVEL_ORDERLY;
  return s.lost || s.in.ended ? SHOVEL_LOST : SHOVEL_UNUSED;
}
