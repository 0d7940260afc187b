/* fuzz-popup.c - what strangers say to pipit-popup before they have logged in
 *
 * Input: a number that says how the bytes are cut when they arrive, then what the client sends (see
 * fuzz_unpack). Each line must have one answer, and what is checked as a login must stand in the
 * lines; when it is checked, not a byte behind its line may have been read.
 */

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "../../pop3/popup.h"
#include "../../smtpd/stream.h"
#include "../../smtpd/tls.h"
#include "fuzz.h"
#include "logline.h"

#define REPLIES_MAX 65536

static struct {
  char *s;
  size_t len, pos; /* <pos>: what was read */
  size_t arrived;  /* what has come so far */
  uint32_t cut;
} client;

static char replies[REPLIES_MAX];
static size_t replied;
static unsigned int attempts;

int __wrap_poll(struct pollfd *x, nfds_t n, int ms);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
void __wrap_stream_put(struct stream *io, char const *s, size_t len);
enum stream_result __wrap_stream_flush(struct stream *io);
void __wrap_stream_linger(struct stream *io);
int __wrap_stream_is_one_socket(int in, int out);
int __wrap_stream_is_pending(struct stream *io);
void __wrap_stream_start(struct stream *io, int in, int out, unsigned long idle, unsigned long session,
                         volatile sig_atomic_t const *stop);
void __wrap_logline_write(struct logline *l);
int __wrap_tls_is_there(int in, int out);
int __wrap_tls_prepare(struct tls_offer *o, int in, int out, uint32_t limit_ms);
unsigned int __wrap_auth_mechanisms(struct auth const *a);
enum auth_result __wrap_auth_check(struct auth const *a, struct auth_who const *w,
                                   struct auth_try const *t, struct auth_answer *out);

int __wrap_poll(struct pollfd *x, nfds_t n, int ms)
{
  (void)n, (void)ms;
  if (client.arrived == client.pos && client.arrived < client.len)
    client.arrived += fuzz_piece(&client.cut, client.len - client.arrived);
  x->revents = POLLIN;
  return 1;
}

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
  size_t n = client.arrived - client.pos;
  (void)fd;
  if (n > len) n = len;
  memcpy(buf, client.s + client.pos, n);
  if (!(flags & MSG_PEEK)) client.pos += n;
  return (ssize_t)n;
}

void __wrap_stream_put(struct stream *io, char const *s, size_t len)
{
  (void)io;
  REQUIRE(len <= sizeof replies - replied);
  memcpy(replies + replied, s, len);
  replied += len;
}

enum stream_result __wrap_stream_flush(struct stream *io)
{
  return io->broken;
}

void __wrap_stream_linger(struct stream *io)
{
  (void)io;
}

int __wrap_stream_is_one_socket(int in, int out)
{
  (void)in, (void)out;
  return 1;
}

int __wrap_stream_is_pending(struct stream *io)
{
  (void)io;
  return client.pos < client.len;
}

void __wrap_stream_start(struct stream *io, int in, int out, unsigned long idle, unsigned long session,
                         volatile sig_atomic_t const *stop)
{
  (void)idle, (void)session;
  *io = (struct stream){ .in = in, .out = out, .is_socket = 1, .expires = INT64_MAX, .stop = stop };
}

void __wrap_logline_write(struct logline *l)
{
  REQUIRE(l->len < LOGLINE_MAX && !memchr(l->s, '\n', l->len));
  l->len = 0;
}

int __wrap_tls_is_there(int in, int out)
{
  (void)in, (void)out;
  return 1;
}

int __wrap_tls_prepare(struct tls_offer *o, int in, int out, uint32_t limit_ms)
{
  (void)in, (void)out, (void)limit_ms;
  *o->why = 0;
  return 0;
}

unsigned int __wrap_auth_mechanisms(struct auth const *a)
{
  (void)a;
  return AUTHWIRE_HAS_PLAIN | AUTHWIRE_HAS_CRAM;
}

/* Does it stand in a line of what was read, behind this command? */
static int was_said(char const *command, char const *s, size_t len)
{
  size_t n = strlen(command);
  for (size_t i = 0; i + n + len <= client.pos; i++)
    if ((!i || client.s[i - 1] == '\n') && !strncasecmp(client.s + i, command, n) &&
        !memcmp(client.s + i + n, s, len))
      return 1;
  return 0;
}

enum auth_result __wrap_auth_check(struct auth const *a, struct auth_who const *w,
                                   struct auth_try const *t, struct auth_answer *out)
{
  int apop = t->mechanism == AUTHWIRE_APOP;
  (void)a, (void)w, (void)out;
  attempts++;
  REQUIRE(t->loginlen && t->loginlen <= POPUP_LINE_MAX && t->secretlen <= POPUP_LINE_MAX);
  REQUIRE(!memchr(t->login, 0, t->loginlen) && !memchr(t->login, '\n', t->loginlen));
  REQUIRE(!memchr(t->secret, 0, t->secretlen) && !memchr(t->secret, '\n', t->secretlen));
  REQUIRE(was_said(apop ? "APOP " : "USER ", t->login, t->loginlen));
  REQUIRE(apop || was_said("PASS ", t->secret, t->secretlen) || !t->secretlen);
  REQUIRE(apop == (t->extralen != 0));
  REQUIRE(client.pos && client.s[client.pos - 1] == '\n'); /* and not a byte more */
  return attempts % 5 == 4 ? AUTH_TROUBLE : AUTH_NO;
}

/* The number of answers; each is one line, or with +OK one that goes on to a dot. */
static size_t count_replies(void)
{
  size_t n = 0;
  for (char const *s = replies, *end = replies + replied; s < end; n++) {
    REQUIRE(end - s >= 4 && (!memcmp(s, "+OK", 3) || !memcmp(s, "-ERR ", 5)));
    char const *lf = memchr(s, '\n', (size_t)(end - s));
    REQUIRE(lf && lf > s && lf[-1] == '\r');
    s = lf + 1;
    if (end - s < 5 || memcmp(s, "TOP\r\n", 5)) continue;
    char const *dot = memmem(s, (size_t)(end - s), "\r\n.\r\n", 5);
    REQUIRE(dot);
    s = dot + 5;
  }
  return n;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  static struct auth const authd;
  (void)argc, (void)argv;
  popup_offer(&authd, "pop.example", 1);
  return 0;
}

int LLVMFuzzerTestOneInput(uint8_t const *s, size_t len)
{
  struct fuzz f = { (char const *)s, len };
  struct settings settings = { .authdelay = 0 };
  struct client who = { .ip = "192.0.2.1" };
  size_t lines = 0;
  client.cut = fuzz_byte(&f);
  client.s = fuzz_unpack(f, &client.len);
  client.pos = client.arrived = replied = attempts = 0;
  popup_serve(&settings, &who, 0, 0, 0);
  for (size_t i = 0; i < client.pos; i++) lines += client.s[i] == '\n';
  REQUIRE(attempts <= 20);
  REQUIRE(count_replies() == lines + 1); /* and the greeting */
  free(client.s);
  return 0;
}
