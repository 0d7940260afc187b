/* t-conn.c - the end of a message with commands behind it, where buffers are full */

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/tai.h>

#include "../../remote/conn.h"
#include "check.h"

#define BIG  262144 /* more than the buffers hold */
#define WAIT 10

static char big[BIG];
static int codes[4];

static int note(void *arg, size_t i, struct smtpreply const *reply)
{
  (void)arg;
  codes[i] = reply->code;
  return 1;
}

/* A connection that ends at <*peer>, where <said> was said already. */
static struct conn *start(int *peer, char const *said)
{
  static struct conn c;
  int s[2], size = 4096;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == -1) exit(111);
  setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (write(s[1], said, strlen(said)) != (ssize_t)strlen(said)) exit(111);
  memset(&c, 0, sizeof c);
  c.fd = s[0];
  tain_addsec_g(&c.limit, WAIT);
  if (fcntl(s[0], F_SETFL, O_NONBLOCK) == -1) exit(111);
  *peer = s[1];
  return &c;
}

static enum conn_status end(struct conn *c, size_t textlen, size_t *aheadlen)
{
  return conn_end(c, big, textlen, big, aheadlen, 1, WAIT, WAIT, note, 0);
}

static void stop(struct conn *c, int peer)
{
  conn_close(c);
  close(peer);
}

static void check_early(void)
{
  static struct {
    char const *said;
    size_t text, ahead;
    enum conn_status status;
    char const *why;
  } const cases[] = {
    { "250 ok\r\n", 10, 0, CONN_OK, "a reply to a message that is out" },
    { "250 ok\r\n", 10, 10, CONN_OK, "with commands behind it" },
    { "250 ok\r\n", BIG, 0, CONN_EARLY, "a reply before the end of the message" },
    { "250 ok\r\n", BIG, 10, CONN_EARLY, "with commands that were to follow it" },
    { "552 no\r\n", BIG, 0, CONN_EARLY, "a refusal before the end" },
    { "421 bye\r\n", BIG, 0, CONN_421, "421 before the end" },
    { "421-so\r\n421 long\r\n", 10, 10, CONN_421, "421 after it" },
    { "what\r\n", 10, 10, CONN_MALFORMED, "no reply at all" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int peer;
    struct conn *c = start(&peer, cases[i].said);
    size_t ahead = cases[i].ahead;
    check(end(c, cases[i].text, &ahead) == cases[i].status, cases[i].why);
    check(ahead == (cases[i].text == BIG ? 0 : cases[i].ahead), "and what was sent is told");
    stop(c, peer);
  }
}

/* Read <want> bytes, then say the rest. */
static pid_t start_reader(int peer, int other, size_t want, char const *said)
{
  pid_t pid = fork();
  if (pid) return pid;
  char buf[4096];
  ssize_t n;
  close(other);
  while (want && (n = read(peer, buf, sizeof buf)) > 0) want -= (size_t)n < want ? (size_t)n : want;
  _exit(want || write(peer, said, strlen(said)) != (ssize_t)strlen(said));
}

/* Replies to the first of the commands are there before the last of them is out. */
static void check_ahead(void)
{
  int peer, status;
  struct conn *c = start(&peer, "250 taken\r\n251 first\r\n");
  size_t ahead = BIG;
  check(end(c, 10, &ahead) == CONN_OK && codes[0] == 250 && c->reply.code == 250,
        "the reply to the message comes before all commands are out");
  check(ahead && ahead < BIG, "of which some are");
  pid_t pid = start_reader(peer, c->fd, 10 + BIG, "354 last\r\n");
  check(conn_exchange(c, big + ahead, BIG - ahead, 2, WAIT, note, 0) == CONN_OK &&
            codes[0] == 251 && codes[1] == 354,
        "the rest of them is sent, and each has its reply");
  conn_close(c); /* should the reader still want something */
  check(waitpid(pid, &status, 0) == pid && !status, "every byte has arrived");
  stop(c, peer);
  c = start(&peer, "250 taken\r\n251 first\r\n");
  ahead = 0;
  check(end(c, 10, &ahead) == CONN_OK && conn_exchange(c, big, 10, 1, WAIT, note, 0) == CONN_MALFORMED,
        "a reply that nothing was asked for is none");
  stop(c, peer);
}

static void check_death(void)
{
  int peer;
  struct conn *c = start(&peer, "250 taken\r\n");
  size_t ahead = BIG;
  shutdown(peer, SHUT_RD);
  check(end(c, 10, &ahead) == CONN_EARLY, "a reply by one who does not read is no reply to the message");
  stop(c, peer);
  c = start(&peer, "");
  close(peer);
  ahead = 10;
  check(end(c, 10, &ahead) == CONN_DIED, "nobody there");
  conn_close(c);
}

int main(void)
{
  signal(SIGPIPE, SIG_IGN);
  tain_now_set_stopwatch_g();
  check_early();
  check_ahead();
  check_death();
  return check_done();
}
