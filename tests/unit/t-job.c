/* t-job.c - the packets between send, the spawners and the workers */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "job.h"

static struct job_packet p;

static int open_fds(void)
{
  int n = 0;
  for (int fd = 0; fd < 64; fd++) n += fcntl(fd, F_GETFD) != -1;
  return n;
}

/* Send s[0..len) with <nfds> descriptors. */
static void send_raw(int sock, char const *s, size_t len, int nfds)
{
  union {
    struct cmsghdr align;
    char s[CMSG_SPACE(8 * sizeof(int))];
  } control = { .s = { 0 } };
  struct iovec v = { (char *)s, len };
  struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
  int fds[8] = { sock, sock, sock, sock, sock, sock, sock, sock };
  if (nfds) {
    m.msg_control = control.s;
    m.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
    memcpy(CMSG_DATA(c), fds, (size_t)nfds * sizeof(int));
  }
  (void)!sendmsg(sock, &m, 0);
}

static void check_jobs(int const s[2])
{
  static char const extras[] = "BODY=8BITMIME\0ENVID=x";
  static char const rcpts[] = "a@x\0\0b@x"; /* an empty address is one too */
  struct job j = { 7, 1234567890123456789u, 128, 99, "x", "s@y", extras, sizeof extras,
                   rcpts, sizeof rcpts, 3, s[0], 0, 0 };
  int before = open_fds();
  check(job_send(s[0], &j) == 1 && job_recv(s[1], &p) == 1 && p.type == 'J', "a job arrives");
  check(p.job.num == 7 && p.job.id == j.id && p.job.offset == 128 && p.job.length == 99,
        "with its numbers");
  check(!strcmp(p.job.host, "x") && !strcmp(p.job.sender, "s@y"), "with host and sender");
  check(p.job.extraslen == sizeof extras && !memcmp(p.job.extras, extras, sizeof extras),
        "with its extras");
  check(p.job.nrcpts == 3 && p.job.rcptslen == sizeof rcpts &&
            !memcmp(p.job.rcpts, rcpts, sizeof rcpts), "with its recipients, an empty one too");
  check(p.job.fd >= 0 && fcntl(p.job.fd, F_GETFD) == FD_CLOEXEC, "with a descriptor that execs close");
  close(p.job.fd);
  j.extraslen = 0;
  check(job_send(s[0], &j) == 1 && job_recv(s[1], &p) == 1 && !p.job.extraslen && p.job.nrcpts == 3,
        "a job without extras");
  check(!p.job.waits, "a job that is not said to wait does not");
  close(p.job.fd);
  j.waits = 1;
  check(job_send(s[0], &j) == 1 && job_recv(s[1], &p) == 1 && p.type == 'J' && p.job.waits &&
            p.job.fd >= 0 && p.job.nrcpts == 3, "a job that may wait arrives");
  close(p.job.fd);
  j.body = "a\0b";
  j.length = 3;
  check(job_send(s[0], &j) == 1 && job_wait(s[1], &p) == 1 && p.type == 'M' && p.job.fd == -1 &&
            p.job.length == 3 && !memcmp(p.job.body, "a\0b", 3),
        "a job with the message inside arrives without a descriptor");
  check(p.job.nrcpts == 3 && p.job.rcptslen == sizeof rcpts && !memcmp(p.job.rcpts, rcpts, sizeof rcpts),
        "and its recipients are not the message");
  j.length = 0;
  check(job_send(s[0], &j) == 1 && job_recv(s[1], &p) == 1 && p.type == 'M' && !p.job.length && p.job.body,
        "a message of no bytes is one");
  check(open_fds() == before, "no descriptor is left over");
}

static void check_limits(int const s[2])
{
  static char big[JOB_PACKET_MAX + 1];
  struct job j = { 1, 2, 0, 0, "", "", "", 0, big, 0, 1, s[0], 0, 0 };
  memset(big, 'x', sizeof big - 1);
  j.rcptslen = sizeof big;
  check(job_send(s[0], &j) == -1 && errno == EMSGSIZE, "a job over the packet's limit is refused");
  big[JOB_PACKET_MAX - 32 - 1] = 0;
  j.rcptslen = JOB_PACKET_MAX - 32;
  check(job_send(s[0], &j) == 1 && job_recv(s[1], &p) == 1 && p.job.rcptslen == j.rcptslen,
        "a job of exactly the limit arrives");
  close(p.job.fd);
  j.rcptslen = 0;
  j.nrcpts = 0;
  check(job_send(s[0], &j) == -1, "a job without recipients is refused");
  check(job_send_result(s[0], 1, 2, 'D', big, 5000) == 1 && job_recv(s[1], &p) == 1 &&
            p.textlen == JOB_TEXT_MAX, "a long text is cut");
}

static void check_reports(int const s[2])
{
  static char const big[JOB_GROUP_MAX + 1] = "x";
  check(job_send_hello(s[0], 20) == 1 && job_recv(s[1], &p) == 1 && p.type == 'H' && p.max == 20,
        "hello");
  check(job_send_ahead(s[0], 1) == 1 && job_recv(s[1], &p) == 1 && p.type == 'A' && p.max == 1,
        "how many jobs may wait");
  check(job_send_result(s[0], 5, 6, 'K', "a\0b", 3) == 1 && job_recv(s[1], &p) == 1 &&
            p.type == 'R' && p.num == 5 && p.index == 6 && p.letter == 'K' && p.textlen == 3 &&
            !memcmp(p.text, "a\0b", 3), "a result, any byte in its text");
  check(job_send_result(s[0], 5, 6, 'Z', "", 0) == 1 && job_recv(s[1], &p) == 1 && !p.textlen,
        "a result without text");
  check(job_send_group(s[0], 5, "mx.example", 10) == 1 && job_recv(s[1], &p) == 1 && p.type == 'G' &&
            p.num == 5 && p.textlen == 10 && !memcmp(p.text, "mx.example", 10), "mail exchangers");
  check(job_send_group(s[0], 5, "", 0) == -1 && job_send_group(s[0], 5, big, JOB_GROUP_MAX + 1) == -1,
        "a name of no or too many bytes is refused");
  check(job_send_class(s[0], 6, JOB_HOST, "no\n", 3) == 1 && job_recv(s[1], &p) == 1 && p.type == 'C' &&
            p.num == 6 && p.letter == JOB_HOST && p.textlen == 3, "the class of a failure");
  check(job_send_tls(s[0], 7, "no - - why not", 14) == 1 && job_recv(s[1], &p) == 1 && p.type == 'T' &&
            p.num == 7 && p.textlen == 14 && !memcmp(p.text, "no - - why not", 14), "what was spoken");
  check(job_send_tls(s[0], 7, "", 0) == -1 && job_send_tls(s[0], 7, big, JOB_TLS_MAX + 1) == -1,
        "of no or too many bytes it is refused");
  check(job_send_end(s[0], 5) == 1 && job_recv(s[1], &p) == 1 && p.type == 'E' && p.num == 5, "end");
}

static struct {
  char const *why;
  char const *s;
  size_t len;
  int fds;
} const bad[] = {
  { "an unknown type", "Q\0\0\0\1", 5, 0 },
  { "a result that is too short", "R\0\0\0\1\0\0\0\1", 9, 0 },
  { "what was spoken, of no bytes", "T\0\0\0\1", 5, 0 },
  { "what was spoken, with a line end", "T\0\0\0\1a\n", 7, 0 },
  { "an end that is too long", "E\0\0\0\1x", 6, 0 },
  { "a hello that is too short", "H\0\0\0", 4, 0 },
  { "a number of jobs that is too long", "A\0\0\0\1x", 6, 0 },
  { "a job that may wait, without a descriptor", "W\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1h\0s\0\0r\0", 36, 0 },
  { "a note with a text that has none", "N\0\0\0\1\0\0\0\0Px", 11, 0 },
  { "a blank in what was done so far", "N\0\0\0\1\0\0\0\0Sa b", 13, 0 },
  { "a note that is too short", "N\0\0\0\1\0\0\0\0", 9, 0 },
  { "a group without a name", "G\0\0\0\1", 5, 0 },
  { "a group with a space in its name", "G\0\0\0\1mx example", 15, 0 },
  { "a class that is none", "C\0\0\0\1x", 6, 0 },
  { "a class that is too short", "C\0\0\0\1", 5, 0 },
  { "a hello with a descriptor", "H\0\0\0\1", 5, 1 },
  { "a job that stops in its numbers", "J\0\0\0\1", 5, 1 },
#define FIXED "J\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
#define CASE(x) FIXED x, sizeof FIXED x - 1
  { "a job without a descriptor", CASE("h\0s\0\0r\0"), 0 },
  { "a job with two descriptors", CASE("h\0s\0\0r\0"), 2 },
  { "a job with eight descriptors", CASE("h\0s\0\0r\0"), 8 },
  { "a job without recipients", CASE("h\0s\0\0"), 1 },
  { "a job whose extras do not end", CASE("h\0s\0a=b\0"), 1 },
  { "a job whose last recipient does not end", CASE("h\0s\0\0r\0r"), 1 },
  { "a job without sender", CASE("h\0"), 1 },
  { "a job whose host does not end", CASE("h"), 1 },
#define INSIDE "M\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\4"
#define IN(x) INSIDE x, sizeof INSIDE x - 1
  { "a message in a job with a descriptor", IN("h\0s\0\0r\0text"), 1 },
  { "a message in a job that is cut short", IN("h\0s\0\0r\0tex"), 0 },
  { "a message and nothing else in a job", IN("text"), 0 },
  { "a message in a job that is shorter than said", IN("xyz"), 0 },
  { "a message of 2^64-1 bytes", "M\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0\377\377\377\377\377\377\377\377h\0s\0\0r\0", 36, 0 },
};

static void check_bad(int const s[2])
{
  static char big[JOB_PACKET_MAX + 5] = "R";
  int before = open_fds();
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    send_raw(s[0], bad[i].s, bad[i].len, bad[i].fds);
    int r = job_recv(s[1], &p);
    check(r == -1 && errno == EPROTO, bad[i].why);
  }
  send_raw(s[0], big, sizeof big, 0);
  check(job_recv(s[1], &p) == -1 && errno == EPROTO, "a packet over the limit");
  check(open_fds() == before, "the descriptors of bad packets are closed");
}

/* The other side dies with a packet of ours unread: what it said before is still heard. */
static void check_last_words(void)
{
  int s[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s) == -1) exit(111);
  int sent = job_send_end(s[0], 1) == 1 && job_send_end(s[1], 7) == 1;
  close(s[1]);
  check(sent && job_recv(s[0], &p) == 1 && p.type == 'E' && p.num == 7,
        "what was said before a death is heard");
  check(job_recv(s[0], &p) == -1 && errno == EPIPE, "and after it the end");
  close(s[0]);
}

/* Extras of recipients behind those of the message, and notes. */
static void check_extras(int s[2])
{
  static char const extras[] = "RET=HDRS\0#0\0NOTIFY=NEVER\0#2\0NOTIFY=DELAY\0ORCPT=rfc822;#2";
  struct job j = { .num = 7, .host = "x", .sender = "s", .extras = extras, .extraslen = sizeof extras,
                   .rcpts = "a\0b\0c", .rcptslen = 6, .nrcpts = 3, .body = "" };
  size_t pos = 0, len;
  if (job_send(s[0], &j) != 1 || job_recv(s[1], &p) != 1) {
    check(0, "a job with extras of recipients");
    return;
  }
  check(job_message_extras(&p.job, &len) == p.job.extras && len == 9, "the extras of the message");
  char const *first = job_rcpt_extras(&p.job, 0, &pos, &len);
  check(len == 13 && !strcmp(first, "NOTIFY=NEVER"), "those of the first recipient");
  job_rcpt_extras(&p.job, 1, &pos, &len);
  check(!len, "the second has none");
  char const *third = job_rcpt_extras(&p.job, 2, &pos, &len);
  check(len == 29 && !strcmp(third, "NOTIFY=DELAY") && pos == sizeof extras, "those of the third");
  check(job_send_note(s[0], 7, 2, JOB_PASSED) == 1 && job_recv(s[1], &p) == 1 && p.type == 'N' &&
            p.num == 7 && p.index == 2 && p.letter == JOB_PASSED, "a note");
  static char text[JOB_SOFAR_MAX + 1];
  memset(text, 'x', sizeof text);
  check(job_send_sofar(s[0], 7, 2, text, JOB_SOFAR_MAX) == 1 && job_recv(s[1], &p) == 1 &&
            p.type == 'N' && p.letter == JOB_SOFAR && p.textlen == JOB_SOFAR_MAX &&
            !memcmp(p.text, text, p.textlen), "what was done so far");
  check(job_send_sofar(s[0], 7, 2, text, sizeof text) == -1 && errno == EMSGSIZE,
        "a longer one is refused");
}

int main(void)
{
  int s[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s) == -1) return 111;
  check(job_recv(s[1], &p) == 0, "nothing there is no error");
  check_jobs(s);
  check_limits(s);
  check_reports(s);
  check_extras(s);
  check_bad(s);
  check_last_words();
  int r;
  while ((r = job_send_end(s[0], 1)) == 1) {}
  check(r == 0, "a full socket would block");
  while ((r = job_recv(s[1], &p)) == 1) {}
  close(s[1]);
  check(job_send_end(s[0], 1) == -1 && errno == EPIPE, "nobody there is EPIPE");
  check(job_recv(s[0], &p) == -1 && errno == EPIPE, "the end of the stream is EPIPE");
  return check_done();
}
