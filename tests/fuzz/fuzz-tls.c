/* fuzz-tls.c - what pipit-smtpd hears of TLS: from pipit-tlsd (lib/tlswire.h), and by UCSPI-TLS
 *
 * The input is what the other side says, from beginning to end. Whatever it is, no descriptor stays
 * open, and what is kept for log and Received lines can stand there.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../smtpd/stream.h"
#include "../../smtpd/tls.h"
#include "fdpass.h"
#include "fuzz.h"
#include "tlsclient.h"
#include "tlswire.h"

#define LIMIT_MS 20000 /* nobody waits: the other side has said everything, and ended */
#define FILES    64    /* descriptors are below this */

static int dialled; /* our end of the connection to pipit-tlsd */

int stream_is_one_socket(int in, int out)
{
  (void)in, (void)out;
  return 1;
}

extern int __wrap_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol)
{
  (void)domain, (void)type, (void)protocol;
  return dup(dialled);
}

extern int __wrap_connect(int fd, struct sockaddr const *sa, socklen_t len);
int __wrap_connect(int fd, struct sockaddr const *sa, socklen_t len)
{
  (void)fd, (void)sa, (void)len;
  return 0;
}

static int open_files(void)
{
  int n = 0;
  for (int fd = 0; fd < FILES; fd++) n += fcntl(fd, F_GETFD) != -1;
  return n;
}

static int nowhere(void)
{
  int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  REQUIRE(fd != -1 && fd < FILES);
  return fd;
}

static void make_pair(int type, int p[2])
{
  REQUIRE(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, p) == 0);
}

/* Does <kept> stand for <from>, in so much room? */
static int stands_for(char const *kept, size_t size, char const *from, size_t len, char const *unwanted)
{
  size_t n = strlen(kept);
  if (n != (len < size ? len : size - 1)) return 0;
  for (size_t i = 0; i < n; i++) {
    char c = kept[i];
    if (c < 32 || c > 126 || strchr(unwanted, c)) return 0;
    if (c != from[i] && c != '?') return 0;
  }
  return 1;
}

/* --- pipit-tlsd --- */

/* Take a packet from the input: its kind, how many descriptors, and text up to the byte 1. */
static size_t take_packet(struct fuzz *f, char *packet, size_t size, int *fds)
{
  *fds = (int)fuzz_below(f, 3);
  struct fuzz part = fuzz_until(f, 1);
  size_t len = part.len < size ? part.len : size;
  if (len) memcpy(packet, part.s, len);
  return len;
}

static void say(int sock, char *packet, size_t len, int n)
{
  int fd[2] = { nowhere(), nowhere() };
  struct iovec v = { packet, len };
  if (len) REQUIRE(fdpass_send(sock, &v, 1, fd, (size_t)n) == 1);
  close(fd[0]);
  close(fd[1]);
}

static void check_facts(struct tls const *t, char const *s, size_t len)
{
  struct { char const *kept; size_t size; } const facts[] = {
    { t->protocol, sizeof t->protocol }, { t->cipher, sizeof t->cipher },
    { t->name, sizeof t->name }, { t->subject, sizeof t->subject }
  };
  struct fuzz f = { s, len };
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
    struct fuzz part = fuzz_until(&f, 0);
    REQUIRE(stands_for(facts[i].kept, facts[i].size, part.s, part.len,
                       facts[i].kept == t->subject ? TLSCLIENT_TEXT : TLSCLIENT_WORD));
  }
}

static void test_tlsd(struct fuzz f, int in, int out)
{
  static char answer[TLSWIRE_MAX + 64], result[TLSWIRE_MAX + 64];
  struct tls_offer o;
  struct tls t = { .on = 0 };
  int p[2], afds, rfds;
  make_pair(SOCK_SEQPACKET, p);
  dialled = p[0];
  size_t alen = take_packet(&f, answer, sizeof answer, &afds);
  size_t rlen = take_packet(&f, result, sizeof result, &rfds);
  say(p[1], answer, alen, afds);
  say(p[1], result, alen ? rlen : 0, rfds);
  shutdown(p[1], SHUT_WR);
  int ready = tls_prepare(&o, in, out, LIMIT_MS);
  REQUIRE(!ready == !(alen && alen < TLSWIRE_MAX && answer[0] == TLSWIRE_GO && !afds) ||
          alen >= TLSWIRE_MAX - 1);
  if (!ready) REQUIRE(o.control == -1 && o.in == -1 && memchr(o.why, 0, sizeof o.why));
  if (ready) {
    int done = tls_handshake(&o, &t, in, out, LIMIT_MS, 0);
    REQUIRE(done == t.on && o.control == -1 && o.in == -1);
    REQUIRE(done == (rlen && result[0] == TLSWIRE_OK && !rfds) || rlen >= TLSWIRE_MAX - 1);
    if (done) check_facts(&t, result + 1, rlen - 1);
    tls_await_end(in, t.on);
    tls_again(0);
  }
  close(p[0]);
  close(p[1]);
}

/* --- UCSPI-TLS --- */

static void set_fd(char const *name, int fd)
{
  char number[12];
  snprintf(number, sizeof number, "%d", fd);
  REQUIRE(setenv(name, number, 1) == 0);
}

/* Is there an empty string in the block? */
static int has_end(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (!s[i] && (!i || !s[i - 1])) return 1;
  return 0;
}

static void test_ucspi(struct fuzz f, int in, int out)
{
  struct tls_offer o;
  struct tls t = { .on = 0 };
  int p[2];
  size_t len;
  char *s = fuzz_unpack(f, &len);
  make_pair(SOCK_STREAM, p);
  fcntl(p[1], F_SETFL, O_NONBLOCK);
  if (len) len = (size_t)write(p[1], s, len); /* as much as there is room for */
  shutdown(p[1], SHUT_WR);
  set_fd("SSLCTLFD", p[0]);
  set_fd("SSLREADFD", nowhere());
  set_fd("SSLWRITEFD", nowhere());
  REQUIRE(tls_is_there(in, out) && tls_prepare(&o, in, out, LIMIT_MS));
  int done = tls_handshake(&o, &t, in, out, LIMIT_MS, 0);
  REQUIRE(done == t.on && done == has_end(s, len));
  char const *const kept[] = { t.protocol, t.cipher, t.name, t.subject };
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
    REQUIRE(stands_for(kept[i], sizeof t.name, kept[i], strlen(kept[i]),
                       kept[i] == t.subject ? TLSCLIENT_TEXT : TLSCLIENT_WORD));
  REQUIRE(!getenv("SSLCTLFD") && fcntl(p[0], F_GETFD) == -1);
  close(p[1]);
  free(s);
}

int LLVMFuzzerTestOneInput(uint8_t const *s, size_t len)
{
  static int home = -1;
  struct fuzz f = { (char const *)s, len };
  if (home == -1) home = fuzz_home();
  int before = open_files();
  int in = nowhere(), out = nowhere();
  if (fuzz_byte(&f) % 4) test_tlsd(f, in, out);
  else test_ucspi(f, in, out);
  close(in);
  close(out);
  REQUIRE(open_files() == before);
  return 0;
}
