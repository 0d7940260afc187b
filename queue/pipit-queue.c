/* pipit-queue.c - queue a message: qmail-queue's interface
 *
 * usage: pipit-queue < message 1< envelope
 *
 * Descriptor 0 holds the message, 1 the envelope: F<sender>\0, T<recipient>\0
 * for each recipient, \0. pipit's X records (qfile.h) may stand in it. The
 * message is handed to pipit-queued. When it fails, and descriptor 6 is a
 * pipe, or ERROR_FD names a descriptor, a line for people is left there: D or
 * Z (permanent, temporary) and a text.
 *
 * It is a name of pipit-inject.
 *
 * exit: 0 queued; 11 address too long; 31 refused; 51 no memory; 52 timeout;
 * 53 write error, disk full; 54 read error, envelope cut off; 61 no home; 64 no
 * file can be made; 71 no pipit-queued; 72, 74 it does not answer, went away;
 * 81 bug; 91 envelope format; 100 wrong usage.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>
#include <skalibs/strerr.h>
#include <skalibs/tai.h>
#include <skalibs/types.h>

#include "envelope.h"
#include "inject.h"
#include "priv.h"
#include "program.h"
#include "submit.h"
#include "submit_parts.h"

#define USAGE "pipit-queue < message 1< envelope"

#define DEATH_SECONDS 86400     /* for everything, as in qmail-queue */
#define ENVELOPE_MAX  134217728 /* bytes of an envelope: it is kept in memory */
#define MEMORY_MAX    402653184 /* bytes of address space */
#define TEXT_FD       6
#define CHUNK         32768

struct queue_job {
  struct submit s;
  tain deadline;
};

/* Read from <fd> before the deadline. The number of bytes, 0 at the end, -1 and s.broken. */
static ssize_t read_some(struct queue_job *j, int fd, char *buf, size_t max)
{
  struct pollfd x = { .fd = fd, .events = POLLIN };
  tain left;
  tain_now_g();
  tain_sub(&left, &j->deadline, &STAMP);
  int r = tain_future(&j->deadline) ? poll(&x, 1, tain_to_millisecs(&left)) : 0;
  if (r == -1 && errno == EINTR) return read_some(j, fd, buf, max);
  ssize_t n = r > 0 ? fd_read(fd, buf, max) : -1;
  if (!r) submit_fail(&j->s, QQ_TIMEOUT, "the message took too long");
  else if (n == -1) submit_fail(&j->s, QQ_READ, "the message or the envelope cannot be read");
  return n;
}

static void send_message(struct queue_job *j)
{
  static char buf[CHUNK];
  for (ssize_t n; !j->s.broken && (n = read_some(j, 0, buf, sizeof buf)) > 0;)
    submit_message(&j->s, buf, (size_t)n);
}

/* Take s[0..len) as it is, without the additional NUL. */
static void keep_envelope(struct queue_job *j, struct envelope const *e, char const *s, size_t len)
{
  size_t n = e->state == ENVELOPE_END ? len - 1 : len;
  if (n > ENVELOPE_MAX - j->s.envelope.len)
    submit_fail(&j->s, QQ_NOMEM, "the envelope is too large");
  else if (!stralloc_catb(&j->s.envelope, s, n))
    submit_fail(&j->s, QQ_NOMEM, "out of memory");
}

static void send_envelope(struct queue_job *j)
{
  static char buf[CHUNK];
  struct envelope e = ENVELOPE_ZERO;
  while (!j->s.broken && !e.code && e.state != ENVELOPE_END) {
    ssize_t n = read_some(j, 1, buf, sizeof buf);
    if (n == -1) return;
    if (!n) break;
    keep_envelope(j, &e, buf, envelope_take(&e, buf, (size_t)n));
  }
  int code = envelope_check(&e);
  if (!code && e.state != ENVELOPE_END) code = QQ_READ;
  if (code == QQ_READ) submit_fail(&j->s, code, "the envelope is cut off");
  else if (code == QQ_TOO_LONG) submit_fail(&j->s, code, "an address is too long");
  else if (code) submit_fail(&j->s, code, "the envelope is malformed");
}

/* The descriptor that ERROR_FD names, or -1. */
static int error_fd(void)
{
  char const *x = getenv("ERROR_FD");
  unsigned int fd;
  if (!x || !uint0_scan(x, &fd) || fd < 2 || fd > 1023) return -1;
  return (int)fd;
}

/* Polling what can only be written to would take as long as we have. */
static int can_be_read(int fd)
{
  int flags = fcntl(fd, F_GETFL);
  return flags != -1 && (flags & O_ACCMODE) != O_WRONLY;
}

/* Is it a pipe? A file that a caller forgot to close must not be written to. */
static int is_pipe(int fd)
{
  struct stat st;
  return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* Leave the text where the caller may look for it, without ever waiting. */
static void leave_text(int fd, struct submit const *s, int permanent)
{
  char text[SUBMIT_WHY_MAX + 1];
  struct pollfd x = { .fd = fd, .events = POLLOUT };
  if (fd == -1 || poll(&x, 1, 0) != 1 || !(x.revents & POLLOUT)) return;
  size_t n = strnlen(s->why, sizeof s->why);
  text[0] = permanent ? 'D' : 'Z';
  memcpy(text + 1, s->why, n);
  (void)!fd_write(fd, text, n + 1);
}

int queue_main(int argc, char const *const *argv)
{
  static struct queue_job j; /* all zeros, which take no room in the file */
  int text = is_pipe(TEXT_FD) ? TEXT_FD : -1;
  int error = error_fd();
  if (error != -1 && (error == text || fcntl(error, F_GETFD) == -1)) error = -1;
  program_start("pipit-queue");
  (void)argv;
  if (argc != 1) strerr_dieusage(EXIT_PERMANENT, USAGE);
  if (!program_plug(TEXT_FD) || (error_fd() != -1 && !program_plug(error_fd()))) return QQ_BUG;
  if (!can_be_read(0) || !can_be_read(1)) return QQ_READ;
  if (!priv_limit_memory(MEMORY_MAX)) return QQ_NOMEM;
  submit_init(&j.s);
  tain_now_set_stopwatch_g();
  tain_addsec_g(&j.deadline, DEATH_SECONDS);
  if (submit_open(&j.s, SUBMIT_WAIT, 0, 0)) {
    send_message(&j);
    send_envelope(&j);
  }
  enum submit_result r = submit_commit(&j.s);
  if (r == SUBMIT_OK) return 0;
  leave_text(text, &j.s, r == SUBMIT_PERMANENT);
  leave_text(error, &j.s, r == SUBMIT_PERMANENT);
  return j.s.code;
}
