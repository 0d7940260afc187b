/* remote-strings.c - every string as a message, through a real pipit-remote
 *
 * usage: remote-strings PORT MODE LETTERS MIN MAX EVERY OFFSET
 *
 * A worker (pipit-remote -w) gets each string as a job and sends it to a receiver
 * here, to which control/smtproutes must lead: 127.0.0.1, PORT. The bytes
 * between 354 and the end are compared with what remote/output.h promises, worked
 * out line by line, and shown to strict and lax receivers: all must find the end
 * of data at the end, and nowhere before.
 * Modes:
 *   whole   the string is the message
 *   border  it lies across the end of the first 32768 bytes, at every place
 *
 * exit: 0 all are right; 1 some are not, or the program failed; 100 usage.
 */

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/check.h"
#include "lax.h"
#include "strings.h"

#define WAIT_MS  20000
#define BORDER   32768 /* MESSAGE_WHOLE of remote/message.h: bytes that are converted at once */
#define TEXT_MAX (BORDER + STRINGS_LENGTH_MAX)
#define ROOM     (2 * TEXT_MAX + 4096)
#define OFFSET   128

struct receiver {
  int listener, conn;
  int in_data;
  unsigned int ended; /* messages that it has found the end of */
  size_t inlen;
  size_t datalen;     /* of the last one, its end included */
  char in[ROOM], data[ROOM];
};

struct worker {
  int sock, pid;
  uint32_t num;
  char letter; /* of the last result, while the job lasts */
  int ended;
};

struct run {
  int border, file;
  struct receiver receiver;
  struct worker worker;
};

/* --- what has to be sent --- */

static size_t put_line(char *out, char const *s, size_t len)
{
  size_t n = 0, nul = 0;
  while (nul < len && !s[nul]) nul++;
  for (size_t i = 0; i < len; i++) {
    if (i == nul && s[i] == '.') out[n++] = '.';
    out[n++] = s[i];
  }
  memcpy(out + n, "\r\n", 2);
  return n + 2;
}

static size_t expect(char *out, char const *s, size_t len)
{
  size_t n = 0, at = 0;
  while (at < len) {
    size_t end = at;
    while (end < len && s[end] != '\r' && s[end] != '\n') end++;
    n += put_line(out + n, s + at, end - at);
    at = end + (end + 1 < len && s[end] == '\r' && s[end + 1] == '\n') + 1;
  }
  memcpy(out + n, ".\r\n", 3);
  return n + 3;
}

/* --- the receiver --- */

static int say(struct receiver *r, char const *s)
{
  return send(r->conn, s, strlen(s), MSG_NOSIGNAL) == (ssize_t)strlen(s);
}

static void take_bytes(struct receiver *r, size_t len)
{
  r->inlen -= len;
  memmove(r->in, r->in + len, r->inlen);
}

/* The end of data, by the letter of RFC 5321; 0 while there is none. */
static size_t strict_end(char const *s, size_t len)
{
  if (len >= 3 && !memcmp(s, ".\r\n", 3)) return 3;
  char const *end = memmem(s, len, "\r\n.\r\n", 5);
  return end ? (size_t)(end - s) + 5 : 0;
}

static int take_data(struct receiver *r)
{
  size_t end = strict_end(r->in, r->inlen);
  if (!end) return 0;
  memcpy(r->data, r->in, end);
  r->datalen = end;
  take_bytes(r, end);
  r->in_data = 0;
  r->ended++;
  return say(r, "250 2.0.0 taken\r\n");
}

static int take_command(struct receiver *r)
{
  char const *lf = memchr(r->in, '\n', r->inlen);
  if (!lf) return 0;
  r->in_data = !strncasecmp(r->in, "DATA\r\n", 6);
  char const *reply = r->in_data ? "354 go ahead\r\n" : "250 ok\r\n";
  if (!strncasecmp(r->in, "EHLO", 4)) reply = "250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n";
  take_bytes(r, (size_t)(lf - r->in) + 1);
  return say(r, reply);
}

static void serve(struct receiver *r)
{
  ssize_t n = recv(r->conn, r->in + r->inlen, sizeof r->in - r->inlen, 0);
  if (n <= 0) {
    close(r->conn);
    r->conn = -1;
    return;
  }
  r->inlen += (size_t)n;
  while (r->in_data ? take_data(r) : take_command(r));
}

static void meet(struct receiver *r)
{
  int on = 1;
  r->conn = accept(r->listener, 0, 0);
  setsockopt(r->conn, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  r->inlen = 0;
  r->in_data = 0;
  if (r->conn != -1) say(r, "220 sink ESMTP\r\n");
}

/* --- the worker --- */

static int start_worker(struct worker *w)
{
  char path[600], option[] = "-w";
  char *argv[] = { path, option, 0 };
  int fd[2];
  snprintf(path, sizeof path, "%s/pipit-remote", getenv("BIN"));
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) == -1) return 0;
  w->sock = fd[0];
  w->pid = strings_spawn(argv, fd[1]);
  close(fd[1]);
  return w->pid != -1;
}

static int stop_worker(struct run *r)
{
  int status;
  if (r->worker.sock == -1) return 1;
  close(r->worker.sock);
  r->worker.sock = -1;
  if (r->receiver.conn != -1) close(r->receiver.conn);
  r->receiver.conn = -1;
  return waitpid(r->worker.pid, &status, 0) == r->worker.pid && !status;
}

static size_t pack(char *out, uint64_t n, size_t bytes)
{
  for (size_t i = 0; i < bytes; i++) out[i] = (char)(n >> 8 * (bytes - 1 - i));
  return bytes;
}

/* Give a job (lib/job.h): the message is at OFFSET of r->file. */
static int give(struct run *r, size_t length)
{
  static char const rest[] = "far.example\0a@b.example\0\0x@far.example";
  char packet[256] = "J", control[CMSG_SPACE(sizeof(int))] = "";
  size_t n = 1;
  n += pack(packet + n, ++r->worker.num, 4);
  n += pack(packet + n, 1700000000000000u + r->worker.num, 8);
  n += pack(packet + n, OFFSET, 8);
  n += pack(packet + n, length, 8);
  memcpy(packet + n, rest, sizeof rest);
  struct iovec v = { .iov_base = packet, .iov_len = n + sizeof rest };
  struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
                      .msg_controllen = sizeof control };
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(c), &r->file, sizeof(int));
  r->worker.letter = 0;
  r->worker.ended = 0;
  return sendmsg(r->worker.sock, &m, MSG_NOSIGNAL) > 0;
}

static void take_packet(struct worker *w)
{
  char packet[65536];
  ssize_t n = recv(w->sock, packet, sizeof packet, 0);
  if (n > 9 && *packet == 'R') w->letter = packet[9];
  if (n <= 0 || *packet == 'E') w->ended = 1;
}

static int await_job(struct run *r)
{
  struct receiver *v = &r->receiver;
  while (!r->worker.ended) {
    struct pollfd p[2] = { { .fd = r->worker.sock, .events = POLLIN },
                           { .fd = v->conn == -1 ? v->listener : v->conn, .events = POLLIN } };
    if (poll(p, 2, WAIT_MS) <= 0) return 0;
    if (p[1].revents && v->conn == -1) meet(v);
    else if (p[1].revents) serve(v);
    if (p[0].revents) take_packet(&r->worker);
  }
  return 1;
}

/* --- */

static char const *judge(struct run const *r, char const *expected, size_t len)
{
  static char why[80];
  struct receiver const *v = &r->receiver;
  if (v->ended != 1) return "the receiver did not find one end of data";
  if (v->datalen != len || memcmp(v->data, expected, len))
    return "other bytes than expected were sent";
  size_t known = r->border ? BORDER - STRINGS_LENGTH_MAX : 0; /* bytes of one line */
  int flags = lax_deceived(v->data + known, v->datalen - known);
  if (flags != -1) {
    snprintf(why, sizeof why, "a lax receiver (%d) finds another end of data", flags);
    return why;
  }
  if (r->worker.letter != 'K') return "the worker does not report success";
  return 0;
}

static char const *try_message(struct run *r, char const *s, size_t len)
{
  static char expected[ROOM];
  size_t n = expect(expected, s, len);
  if (r->worker.sock == -1 && !start_worker(&r->worker)) return "no worker starts";
  if (pwrite(r->file, s, len, OFFSET) != (ssize_t)len ||
      pwrite(r->file, "Fsecret", 8, (off_t)(OFFSET + len)) != 8)
    return "the message cannot be written";
  r->receiver.ended = 0;
  if (!give(r, len)) return "the worker is gone";
  char const *wrong = await_job(r) ? judge(r, expected, n) : "the job does not end";
  if (wrong) {
    kill(r->worker.pid, SIGKILL);
    stop_worker(r);
  }
  return wrong;
}

static char const *try_string(void *arg, char const *s, size_t len)
{
  static char text[TEXT_MAX];
  struct run *r = arg;
  char const *wrong = 0;
  if (!r->border) return try_message(r, s, len);
  for (size_t before = 0; before <= len && !wrong; before++) {
    size_t n = BORDER - before;
    memset(text, 'x', n);
    text[n - 1] = '\n';
    memcpy(text + n, s, len);
    wrong = try_message(r, text, n + len);
  }
  return wrong;
}

static int open_receiver(struct receiver *r, char const *port)
{
  struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atol(port)),
                            .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
  int on = 1;
  r->conn = -1;
  r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(r->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return bind(r->listener, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(r->listener, 5) == 0;
}

int main(int argc, char **argv)
{
  static struct run r = { .worker = { .sock = -1 } };
  struct strings x;
  char why[200];
  if (argc != 8 || !strings_parse(&x, argv + 3)) return 100;
  r.border = !strcmp(argv[2], "border");
  r.file = memfd_create("message", MFD_CLOEXEC);
  if (r.file == -1 || !open_receiver(&r.receiver, argv[1])) return (perror("receiver"), 1);
  strings_run(&x, try_string, &r);
  if (!stop_worker(&r)) x.failed++;
  snprintf(why, sizeof why,
           "%s: %lu strings over %s up to %zu bytes (each %lu. from %lu) end where they end, "
           "for all receivers", argv[2], x.done, x.letters, x.max, x.every, x.offset);
  check(x.done && !x.failed, why);
  return check_done();
}
