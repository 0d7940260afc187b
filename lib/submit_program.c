/* submit_program.c - a message on its way to the program that QMAILQUEUE
 * names; see submit.h
 *
 * It gets the message on descriptor 0 and the envelope on 1, as qmail_open
 * gives them, and can leave a text on 6, which ERROR_FD names too. What it
 * leaves is read all the time, so that it never waits for us while we wait
 * for it.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/djbunix.h>
#include <skalibs/sig.h>

#include "clock.h"
#include "home.h"
#include "priv.h"
#include "submit_parts.h"

#define STALL_SECONDS 900 /* without the program taking or ending anything */
#define ABORT_SECONDS 10  /* for it to end when the message was given up */
#define LOOK_MS       50  /* between two looks at a program that cannot be waited for */
#define TEXT_FD       6
#define TEXT_FD_NAME  "6"

struct pipes {
  int message[2], envelope[2], text[2];
};

static void close_pair(int p[2])
{
  if (p[0] != -1) fd_close(p[0]);
  if (p[1] != -1) fd_close(p[1]);
}

static void close_pipes(struct pipes *p)
{
  close_pair(p->message);
  close_pair(p->envelope);
  close_pair(p->text);
}

static int make_pipes(struct pipes *p)
{
  struct pipes const none = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
  *p = none;
  if (pipe2(p->message, O_CLOEXEC) == 0 && pipe2(p->envelope, O_CLOEXEC) == 0 &&
      pipe2(p->text, O_CLOEXEC) == 0 && ndelay_on(p->message[1]) == 0 &&
      ndelay_on(p->envelope[1]) == 0 && ndelay_on(p->text[0]) == 0)
    return 1;
  close_pipes(p);
  return 0;
}

/* Make <fd> a copy of <from> that the program inherits. */
static void give(int fd, int from)
{
  if (fd == from ? uncoe(fd) == -1 : dup2(from, fd) == -1) _exit(QQ_NOEXEC);
}

static void become_program(struct pipes const *p, char const *program)
{
  char *const argv[] = { (char *)program, 0 };
  give(0, p->message[0]);
  give(1, p->envelope[0]);
  give(TEXT_FD, p->text[1]);
  sig_restore(SIGPIPE);
  sig_restore(SIGXFSZ);
  sig_restore(SIGHUP);
  sig_blocknone();
  priv_restore_memory();
  if (!home_enter()) _exit(QQ_HOME);
  if (setenv("ERROR_FD", TEXT_FD_NAME, 1) == -1) _exit(QQ_NOMEM);
  execv(program, argv);
  _exit(QQ_NOEXEC);
}

int submit_program_open(struct submit *s, char const *program)
{
  struct pipes p;
  if (!make_pipes(&p)) return (submit_fail(s, QQ_TEMPORARY, "no pipes for the queue program"), 0);
  s->pid = fork();
  if (s->pid == -1) {
    s->pid = 0;
    close_pipes(&p);
    return (submit_fail(s, QQ_TEMPORARY, "no process for the queue program"), 0);
  }
  if (!s->pid) become_program(&p, program);
  fd_close(p.message[0]);
  fd_close(p.envelope[0]);
  fd_close(p.text[1]);
  s->msgfd = p.message[1];
  s->envfd = p.envelope[1];
  s->textfd = p.text[0];
  return 1;
}

static void shut(int *fd)
{
  if (*fd != -1) fd_close(*fd);
  *fd = -1;
}

/* Read what the program has left; more than fits is thrown away. */
static void read_text(struct submit *s)
{
  char scrap[1024];
  while (s->textfd != -1) {
    ssize_t n = read(s->textfd, scrap, sizeof scrap);
    if (n == -1 && errno == EINTR) continue;
    if (n == -1 && errno == EAGAIN) return;
    if (n <= 0) {
      shut(&s->textfd);
      return;
    }
    size_t room = sizeof s->why - 1 - s->textlen;
    if (s->broken) room = 0; /* why holds an error of ours */
    if (room > (size_t)n) room = (size_t)n;
    memcpy(s->why + s->textlen, scrap, room);
    s->textlen += room;
    s->why[s->textlen] = 0;
  }
}

/* Wait until <fd> is ready or the program has left something, which is then
 * read. 1, or 0 when the time is over. */
static int wait_for(struct submit *s, int fd, short events, int64_t end)
{
  struct pollfd x[2] = { { .fd = fd, .events = events }, { .fd = s->textfd, .events = POLLIN } };
  int64_t left = end - (int64_t)clock_ms();
  if (left <= 0) return 0;
  if (fd == -1 && left > LOOK_MS) left = LOOK_MS;
  int r = poll(x, 2, (int)left);
  if (r == -1 && errno != EINTR) clock_nap(LOOK_MS);
  if (r > 0 && x[1].revents) read_text(s);
  return 1;
}

/* Write to the program; one that reads no more is not an error, its exit code
 * will tell. */
static void give_bytes(struct submit *s, int *fd, char const *bytes, size_t len)
{
  int64_t end = (int64_t)clock_ms() + STALL_SECONDS * 1000;
  while (len && *fd != -1 && !s->broken) {
    ssize_t n = write(*fd, bytes, len);
    if (n > 0) {
      bytes += n;
      len -= (size_t)n;
      end = (int64_t)clock_ms() + STALL_SECONDS * 1000;
    } else if (errno == EAGAIN) {
      if (!wait_for(s, *fd, POLLOUT, end))
        submit_fail(s, QQ_TIMEOUT, "the queue program does not read");
    } else if (errno == EPIPE) {
      shut(fd);
    } else if (errno != EINTR) {
      submit_fail(s, QQ_WRITE, "the queue program cannot be written to");
    }
  }
}

static void flush(struct submit *s)
{
  give_bytes(s, &s->msgfd, s->buf, s->pending);
  s->pending = 0;
}

void submit_program_message(struct submit *s, char const *bytes, size_t len)
{
  if (len > sizeof s->buf - s->pending) flush(s);
  if (len > sizeof s->buf) {
    give_bytes(s, &s->msgfd, bytes, len);
    return;
  }
  memcpy(s->buf + s->pending, bytes, len);
  s->pending += len;
}

/* Wait for the program; kill it when it takes too long. The status of waitpid. */
static int await(struct submit *s)
{
  int64_t end = (int64_t)clock_ms() + (s->broken ? ABORT_SECONDS : STALL_SECONDS) * 1000;
  int pidfd = pidfd_open(s->pid, 0);
  int status = 0;
  for (;;) {
    pid_t r = waitpid(s->pid, &status, WNOHANG);
    if (r == s->pid || (r == -1 && errno != EINTR)) break;
    if (r == 0 && !wait_for(s, pidfd, POLLIN, end)) {
      submit_fail(s, QQ_TIMEOUT, "the queue program does not end");
      kill(s->pid, SIGKILL);
      end = INT64_MAX;
    }
  }
  read_text(s);
  if (pidfd != -1) fd_close(pidfd);
  return status;
}

/* Make one line of the program's text and find out what it says. */
static void judge_text(struct submit *s)
{
  char letter = s->why[0];
  size_t skip = letter == 'D' || letter == 'Z';
  s->permanent = letter == 'D';
  s->textlen -= skip;
  memmove(s->why, s->why + skip, s->textlen);
  while (s->textlen && (s->why[s->textlen - 1] == '\n' || s->why[s->textlen - 1] == '\r'))
    s->textlen--;
  s->why[s->textlen] = 0;
  for (size_t i = 0; i < s->textlen; i++)
    if ((unsigned char)s->why[i] < 32 || s->why[i] == 127) s->why[i] = ' ';
}

static void judge(struct submit *s, int status)
{
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : QQ_BUG;
  if (s->broken) return;
  s->code = code;
  if ((code == QQ_CUSTOM || code == QQ_CUSTOM2) && s->textlen) {
    judge_text(s);
    return;
  }
  s->why[0] = 0;
}

void submit_program_finish(struct submit *s)
{
  flush(s);
  shut(&s->msgfd);
  if (!s->broken) {
    give_bytes(s, &s->envfd, s->envelope.s, s->envelope.len);
    give_bytes(s, &s->envfd, "", 1);
  }
  shut(&s->envfd);
  if (s->pid) judge(s, await(s));
  s->pid = 0;
  shut(&s->textfd);
}
