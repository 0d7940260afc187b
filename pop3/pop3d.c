/* pop3d.c - give a user his mail by POP3 (RFC 1939), once he has logged in; qmail-pop3d's interface
 *
 * usage: pipit-pop3d Maildir
 *
 * pipit-popup, or another program that asks for a password, has started it as the user, in his
 * home, with the client on descriptors 0 and 1. MAILDIR, where pipit-checkpass has set it for a mailbox of
 * users/mailboxes, takes the place of the argument. It does not run as root. A Maildir that the first
 * message has yet to make is empty. Nothing changes in the Maildir before QUIT. A line about the session
 * goes to stderr; TCPREMOTEIP and USER stand in it.
 *
 * exit: 0 the session is over; 100 wrong usage, or root; 111 the Maildir cannot be read, about
 * which the client is told, and a line is on stderr.
 */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/fmtscan.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "../deliver/helper.h"
#include "../remote/output.h"
#include "../smtpd/stream.h"
#include "logline.h"
#include "mailbox.h"
#include "priv.h"
#include "program.h"
#include "sandbox.h"

#define USAGE        "pipit-pop3d Maildir"
#define MEMORY       268435456 /* bytes of address space: see MAILBOX_NAMES_MAX */
#define LINE_MAX_LEN 512       /* bytes of a command; RFC 2449 gives it 255 */
#define IDLE         1200      /* seconds, as qmail-pop3d; RFC 1939 asks for 600 at least */
#define SESSION      86400     /* seconds for all of it */
#define ERRORS_MAX   100       /* refused commands in a row that end the session */
#define CHUNK        32768     /* bytes of a message that are read at a time */

struct pop3d {
  struct stream io;
  struct mailbox box;
  size_t last; /* highest number that was retrieved: LAST */
  unsigned int errors;
  uint64_t retrieved, octets;
  char const *end; /* why the session is over, or NULL */
};

/* What stands behind a command: numbers, or NONE. */
#define NONE UINT64_MAX
struct args {
  int given; /* how many */
  uint64_t n[2];
};

static void put(struct pop3d *p, char const *s)
{
  stream_put(&p->io, s, strlen(s));
}

static void put_number(struct pop3d *p, uint64_t n)
{
  char fmt[UINT64_FMT];
  stream_put(&p->io, fmt, uint64_fmt(fmt, n));
}

static void ok(struct pop3d *p)
{
  put(p, "+OK\r\n");
}

static void refuse(struct pop3d *p, char const *why)
{
  put(p, "-ERR ");
  put(p, why);
  put(p, "\r\n");
  if (++p->errors >= ERRORS_MAX) p->end = "too many errors";
}

static struct mailbox_message *message(struct pop3d const *p, size_t i)
{
  return mailbox_message(&p->box, i);
}

/* The index of the message that the first argument names. 1, or 0 after a reply. */
static int named(struct pop3d *p, struct args const *a, size_t *i)
{
  if (!a->given) return refuse(p, "which message? write its number"), 0;
  if (!a->n[0] || a->n[0] > p->box.count) return refuse(p, "no such message"), 0;
  *i = (size_t)a->n[0] - 1;
  if (message(p, *i)->deleted) return refuse(p, "the message is deleted"), 0;
  return 1;
}

static void do_stat(struct pop3d *p, struct args const *a)
{
  uint64_t count = 0, size = 0;
  (void)a;
  for (size_t i = 0; i < p->box.count; i++) {
    struct mailbox_message const *m = message(p, i);
    if (m->deleted) continue;
    count++;
    size += m->size;
  }
  put(p, "+OK ");
  put_number(p, count);
  put(p, " ");
  put_number(p, size);
  put(p, "\r\n");
}

static void put_size(struct pop3d *p, size_t i)
{
  put_number(p, message(p, i)->size);
}

static void put_uid(struct pop3d *p, size_t i)
{
  char uid[MAILBOX_UID_MAX + 1];
  mailbox_uid(&p->box, i, uid);
  put(p, uid);
}

static void put_line(struct pop3d *p, size_t i, void (*value)(struct pop3d *, size_t))
{
  put_number(p, i + 1);
  put(p, " ");
  value(p, i);
  put(p, "\r\n");
}

/* LIST and UIDL: of one message, or of all. */
static void list(struct pop3d *p, struct args const *a, void (*value)(struct pop3d *, size_t))
{
  size_t i;
  if (a->given) {
    if (!named(p, a, &i)) return;
    put(p, "+OK ");
    put_line(p, i, value);
    return;
  }
  ok(p);
  for (i = 0; i < p->box.count && p->io.broken == STREAM_OK; i++)
    if (!message(p, i)->deleted) put_line(p, i, value);
  put(p, ".\r\n");
}

static void do_list(struct pop3d *p, struct args const *a)
{
  list(p, a, put_size);
}

static void do_uidl(struct pop3d *p, struct args const *a)
{
  list(p, a, put_uid);
}

static void do_last(struct pop3d *p, struct args const *a)
{
  (void)a;
  put(p, "+OK ");
  put_number(p, p->last);
  put(p, "\r\n");
}

static void do_noop(struct pop3d *p, struct args const *a)
{
  (void)a;
  ok(p);
}

static void do_dele(struct pop3d *p, struct args const *a)
{
  size_t i;
  if (!named(p, a, &i)) return;
  message(p, i)->deleted = 1;
  if (i + 1 > p->last) p->last = i + 1;
  ok(p);
}

static void do_rset(struct pop3d *p, struct args const *a)
{
  (void)a;
  for (size_t i = 0; i < p->box.count; i++) message(p, i)->deleted = 0;
  p->last = 0;
  ok(p);
}

/* How much of a message TOP gives. */
struct top {
  uint64_t lines; /* of the body that are still to come */
  int in_body;
  int blank; /* nothing of this line was there yet, but perhaps a CR */
};

/* The number of bytes at s[0..len) that still belong to it; when all is given, less than <len>, or
 * <*end> is set. */
static size_t top_take(struct top *t, char const *s, size_t len, int *end)
{
  size_t pos = 0;
  while (pos < len) {
    if (t->in_body && !t->lines) return (*end = 1, pos);
    char const *lf = memchr(s + pos, '\n', len - pos);
    size_t n = lf ? (size_t)(lf - s) - pos : len - pos;
    if (n > 1 || (n && s[pos] != '\r')) t->blank = 0;
    pos += n;
    if (!lf) break;
    pos++;
    if (t->in_body) t->lines--;
    else if (t->blank) t->in_body = 1;
    t->blank = 1;
  }
  return pos;
}

/* Send the message that is open as <fd>, all of it or what <t> says. It is too late for -ERR: where
 * it cannot be read to its end the session is over, so that nobody takes a part for the whole. */
static void send_message(struct pop3d *p, int fd, struct top *t)
{
  static char in[CHUNK], out[CHUNK * OUTPUT_GROWTH + OUTPUT_END];
  struct output o = OUTPUT_ZERO;
  ssize_t n = 0;
  int end = 0;
  while (!end && p->io.broken == STREAM_OK && (n = fd_read(fd, in, sizeof in)) > 0) {
    size_t len = t ? top_take(t, in, (size_t)n, &end) : (size_t)n;
    stream_put(&p->io, out, output_add(&o, out, in, len));
  }
  if (n == -1) {
    strerr_warnwusys("read a message");
    p->end = "read error";
    return;
  }
  stream_put(&p->io, out, output_end(&o, out));
  p->octets += o.octets;
}

static void give(struct pop3d *p, size_t i, struct top *t)
{
  int fd = mailbox_read(&p->box, i);
  if (fd == -1 && errno == ENOENT) {
    refuse(p, "the message has gone meanwhile");
  } else if (fd == -1) {
    strerr_warnwusys("open a message");
    refuse(p, "[SYS/TEMP] the message cannot be read now");
  } else {
    ok(p);
    send_message(p, fd, t);
    close(fd);
  }
}

static void do_retr(struct pop3d *p, struct args const *a)
{
  size_t i;
  if (!named(p, a, &i)) return;
  if (i + 1 > p->last) p->last = i + 1;
  p->retrieved++;
  give(p, i, 0);
}

static void do_top(struct pop3d *p, struct args const *a)
{
  struct top t = { .lines = a->n[1], .blank = 1 };
  size_t i;
  if (a->given != 2) refuse(p, "write TOP, a message's number, and the number of its lines");
  else if (named(p, a, &i)) give(p, i, &t);
}

static void do_capa(struct pop3d *p, struct args const *a)
{
  (void)a;
  put(p, "+OK\r\nTOP\r\nUIDL\r\nUSER\r\nRESP-CODES\r\nPIPELINING\r\nEXPIRE NEVER\r\n.\r\n");
}

static void do_quit(struct pop3d *p, struct args const *a)
{
  (void)a;
  if (mailbox_settle(&p->box)) ok(p);
  else put(p, "-ERR [SYS/TEMP] some deleted messages could not be removed\r\n");
  p->end = "quit";
}

static struct {
  char const *name;
  void (*run)(struct pop3d *, struct args const *);
} const commands[] = {
  { "STAT", do_stat }, { "LIST", do_list }, { "RETR", do_retr }, { "DELE", do_dele },
  { "NOOP", do_noop }, { "RSET", do_rset }, { "TOP", do_top },   { "UIDL", do_uidl },
  { "LAST", do_last }, { "CAPA", do_capa }, { "QUIT", do_quit },
};

/* Read the numbers behind a command. 1, or 0: that is something else. */
static int read_args(struct args *a, char const *s)
{
  a->given = 0;
  for (s += strspn(s, " "); *s; s += strspn(s, " ")) {
    if (a->given == 2) return 0;
    size_t n = uint64_scan(s, &a->n[a->given]);
    if (!n || (s[n] && s[n] != ' ')) return 0;
    a->given++;
    s += n;
  }
  return 1;
}

/* <line> has a NUL behind it, and none in it that would matter. */
static void command(struct pop3d *p, char const *line)
{
  struct args a;
  size_t len = strcspn(line, " ");
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    if (strlen(commands[i].name) != len || strncasecmp(line, commands[i].name, len)) continue;
    unsigned int errors = p->errors;
    if (!read_args(&a, line + len)) refuse(p, "that is no number");
    else commands[i].run(p, &a);
    if (p->errors == errors) p->errors = 0;
    return;
  }
  refuse(p, "no such command");
}

static void take_line(struct pop3d *p, char *line, size_t len, int too_long)
{
  if (len && line[len - 1] == '\r') len--;
  while (len && line[len - 1] == ' ') len--;
  line[len] = 0; /* in the place of what ended it */
  if (too_long || len > LINE_MAX_LEN) refuse(p, "line too long");
  else if (memchr(line, 0, len)) refuse(p, "no such command");
  else command(p, line);
}

static void lost(struct pop3d *p, enum stream_result r)
{
  if (r == STREAM_IDLE || r == STREAM_EXPIRED) put(p, "-ERR [SYS/TEMP] timeout\r\n");
  p->end = r == STREAM_EOF ? "closed by client" : r == STREAM_ERROR ? "lost connection" : "timeout";
}

static void next_command(struct pop3d *p)
{
  struct stream *io = &p->io;
  int too_long = 0;
  char *lf;
  while (!(lf = memchr(io->inbuf + io->pos, '\n', io->len - io->pos))) {
    if (io->len - io->pos > LINE_MAX_LEN) {
      too_long = 1;
      io->pos = io->len;
    }
    enum stream_result r = stream_fill(io);
    if (r != STREAM_OK) {
      lost(p, r);
      return;
    }
  }
  char *line = io->inbuf + io->pos;
  io->pos = (size_t)(lf - io->inbuf) + 1;
  take_line(p, line, (size_t)(lf - line), too_long);
}

static char const *variable(char const *name, char const *otherwise)
{
  char const *s = getenv(name);
  return s && *s ? s : otherwise;
}

static char const *client(void)
{
  return variable("TCPREMOTEIP", "local");
}

static void log_end(struct pop3d const *p)
{
  struct logline l = LOGLINE_ZERO;
  uint64_t deleted = 0;
  for (size_t i = 0; i < p->box.count; i++) deleted += message(p, i)->deleted;
  logline_text(&l, "pipit-pop3d: end");
  logline_key(&l, "ip", client());
  logline_key(&l, "user", variable("USER", ""));
  logline_keyn(&l, "messages", p->box.count);
  logline_keyn(&l, "retrieved", p->retrieved);
  logline_keyn(&l, "bytes", p->octets);
  logline_keyn(&l, "deleted", !strcmp(p->end, "quit") ? deleted : 0);
  logline_keyn(&l, "seconds", stream_age(&p->io));
  logline_key(&l, "reason", p->end);
  logline_write(&l);
}

static int fail(char const *reply, int code)
{
  (void)!write(1, reply, strlen(reply));
  return code;
}

static int not_confined(void)
{
  strerr_warnwusys("confine myself");
  return fail("-ERR [SYS/TEMP] local trouble, try again later\r\n", EXIT_TEMPORARY);
}

static int no_maildir(char const *path)
{
  char home[PATH_MAX];
  int error = errno;
  int below = *path != '/' && getcwd(home, sizeof home);
  if (!strncmp(path, "./", 2)) path += 2;
  errno = error;
  strerr_warnwusys("read the Maildir ", below ? home : "", below ? "/" : "", path, " (user ",
                   variable("USER", "unknown"), ", ip ", client(), ")");
  return fail("-ERR [SYS/TEMP] your mailbox cannot be read now\r\n", EXIT_TEMPORARY);
}

int pop3d_main(int argc, char const *const *argv)
{
  static struct pop3d p;
  if (argc != 2) strerr_dieusage(EXIT_PERMANENT, USAGE);
  if (!getuid() || !geteuid()) {
    strerr_warnw("root has no mail: the program that asks for the password has to become the user");
    return fail("-ERR [SYS/PERM] this service is not set up\r\n", EXIT_PERMANENT);
  }
  if (!priv_limit_memory(MEMORY) || sandbox_no_exec() == -1) return not_confined();
  char const *maildir = variable("MAILDIR", argv[1]);
  if (!mailbox_open(&p.box, maildir)) return no_maildir(maildir);
  if (!mailbox_confine(&p.box)) return not_confined();
  if (!mailbox_look(&p.box)) return no_maildir(maildir);
  stream_start(&p.io, 0, 1, IDLE, SESSION, 0);
  ok(&p);
  while (!p.end) {
    next_command(&p);
    if (!p.end && p.io.broken != STREAM_OK) p.end = "lost connection";
  }
  stream_flush(&p.io);
  log_end(&p);
  stream_linger(&p.io);
  return 0;
}
