/* pipit-inject.c - complete a message's header and queue it; qmail-inject's interface
 *
 * usage: pipit-inject [-nNaAhH] [-f sender] [-D notify] [-R ret] [-V envid] [recipient...]
 *
 * The message comes on descriptor 0; its header is held in memory, of its body
 * only a little. With -n the result is printed instead of queued.
 *
 * exit: 0 queued, 100 the message or the call is wrong, 111 try later.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/buffer.h>
#include <skalibs/sgetopt.h>
#include <skalibs/sig.h>
#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "addrlist.h"
#include "dsn.h"
#include "header.h"
#include "inject.h"
#include "names.h"
#include "priv.h"
#include "program.h"
#include "submit.h"

#define USAGE                                                                                      \
  "pipit-inject [-nNaAhH] [-f sender] [-D notify] [-R full|hdrs] [-V envid] [recipient...]"
#define MEMORY 67108864 /* bytes of address space */
#define PATIENCE 86400  /* seconds until a message must have been read */

enum { RCPTS_DEFAULT, RCPTS_ARGS, RCPTS_HEADER, RCPTS_BOTH };

struct options {
  int print;
  int rcpts;
  char const *sender; /* -f's, or NULL */
  unsigned int notify; /* -D's, or 0 */
  enum dsn_ret ret;    /* -R's */
  stralloc envid;      /* -V's, as xtext */
};

struct output {
  int print;
  char last; /* the last byte written */
  struct submit submit;
};

static void too_late(int sig)
{
  static char const text[] = "pipit-inject: fatal: the message did not end within a day\n";
  (void)sig;
  (void)!write(2, text, sizeof text - 1);
  _exit(EXIT_TEMPORARY);
}

static void take_notify(struct options *o, char const *arg)
{
  o->notify = dsn_notify(arg, strlen(arg));
  if (!o->notify)
    strerr_dief(EXIT_PERMANENT, "-D (-N of sendmail) takes never, or some of success,failure,delay; it got ", arg);
}

static void take_ret(struct options *o, char const *arg)
{
  o->ret = dsn_ret(arg, strlen(arg));
  if (!o->ret) strerr_dief(EXIT_PERMANENT, "-R takes full or hdrs; it got ", arg);
}

static void take_envid(struct options *o, char const *arg)
{
  o->envid.len = 0;
  int r = dsn_xtext_encode(&o->envid, arg, strlen(arg));
  if (r == -1) inject_nomem();
  if (!r || !dsn_envid_ok(o->envid.s, o->envid.len))
    strerr_dief(EXIT_PERMANENT,
                "-V takes printable ASCII, up to 100 characters as xtext; it got ", arg);
}

static int parse_options(int argc, char const *const *argv, struct options *o)
{
  subgetopt l = SUBGETOPT_ZERO;
  for (int opt; (opt = subgetopt_r(argc, argv, "aAhHnNf:D:R:V:", &l)) != -1;)
    switch (opt) {
    case 'a': o->rcpts = RCPTS_ARGS; break;
    case 'A': o->rcpts = RCPTS_DEFAULT; break;
    case 'h': o->rcpts = RCPTS_HEADER; break;
    case 'H': o->rcpts = RCPTS_BOTH; break;
    case 'n': o->print = 1; break;
    case 'N': o->print = 0; break;
    case 'f': o->sender = l.arg; break;
    case 'D': take_notify(o, l.arg); break;
    case 'R': take_ret(o, l.arg); break;
    case 'V': take_envid(o, l.arg); break;
    default: strerr_dieusage(EXIT_PERMANENT, USAGE);
    }
  if (o->rcpts == RCPTS_DEFAULT) o->rcpts = l.ind < argc ? RCPTS_ARGS : RCPTS_HEADER;
  return l.ind;
}

static void put(struct output *out, char const *s, size_t len)
{
  if (!len) return;
  out->last = s[len - 1];
  if (!out->print) submit_message(&out->submit, s, len);
  else if (buffer_put(buffer_1, s, len) == -1)
    strerr_diefusys(EXIT_TEMPORARY, "write to standard output");
}

static void put_sender(struct output *out, stralloc const *sender)
{
  stralloc line = STRALLOC_ZERO;
  if (!stralloc_cats(&line, "Return-Path: <") || !addrlist_quote(&line, sender->s, sender->len) ||
      !stralloc_cats(&line, ">\n"))
    inject_nomem();
  put(out, line.s, line.len);
  stralloc_free(&line);
}

/* Read up to the header's end: <h>, and what was read of the body after it. */
static void read_header(struct input *in, struct header *h, char const **body, size_t *len)
{
  size_t n;
  *len = 0;
  while (!h->ended && (n = input_read(in))) {
    ssize_t used = header_feed(h, in->bytes, n);
    if (used == -1) {
      if (errno == EMSGSIZE) strerr_dief(EXIT_PERMANENT, "header longer than 2 MiB");
      inject_nomem();
    }
    *body = in->bytes + used;
    *len = n - (size_t)used;
  }
  if (!header_finish(h)) inject_nomem();
}

/* Is there a recipient, and was every field understood that names some? */
static void check_rcpts(struct inject const *j, struct rcpts const *header)
{
  if (header && *header->bad)
    strerr_dief(EXIT_PERMANENT, "unable to parse the field ", header->bad);
  if (!j->args.list.len && (!header || !header->list.len))
    strerr_dief(EXIT_PERMANENT, "no recipients: none were given as arguments",
                header ? ", nor by To, Cc or Bcc" : "");
}

static void begin(struct output *out, int fd)
{
  struct stat st;
  uint64_t size = 0;
  if (out->print) return;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) size = (uint64_t)st.st_size;
  if (!submit_open(&out->submit, SUBMIT_USE_PROGRAM | SUBMIT_WAIT, size, 0))
    strerr_dief(EXIT_TEMPORARY, out->submit.why);
}

static void put_body(struct output *out, struct input *in, char const *s, size_t len)
{
  do {
    put(out, s, len);
    if (!out->print && out->submit.broken) return;
    len = input_read(in);
    s = in->bytes;
  } while (len);
  if (out->last != '\n') put(out, "\n", 1);
}

static void put_rcpts(struct output *out, struct rcpts const *rcpts, unsigned int notify)
{
  char value[DSN_NOTIFY_MAX];
  dsn_notify_put(value, notify);
  for (size_t pos = 0; pos < rcpts->list.len;) {
    size_t len = strlen(rcpts->list.s + pos);
    if (notify) submit_extra(&out->submit, "NOTIFY", value, strlen(value));
    submit_to(&out->submit, rcpts->list.s + pos, len);
    pos += len + 1;
  }
}

static void finish(struct output *out, struct inject const *j, struct options const *o,
                   struct rcpts const *header)
{
  if (out->print) {
    if (!buffer_flush(buffer_1)) strerr_diefusys(EXIT_TEMPORARY, "write to standard output");
    return;
  }
  submit_from(&out->submit, j->sender.len ? j->sender.s : "", j->sender.len);
  if (o->ret) submit_extra(&out->submit, "RET", o->ret == DSN_RET_FULL ? "FULL" : "HDRS", 4);
  if (o->envid.len) submit_extra(&out->submit, "ENVID", o->envid.s, o->envid.len);
  put_rcpts(out, &j->args, o->notify);
  if (header) put_rcpts(out, header, o->notify);
  switch (submit_commit(&out->submit)) {
  case SUBMIT_OK: break;
  case SUBMIT_PERMANENT: strerr_dief(EXIT_PERMANENT, out->submit.why);
  case SUBMIT_TEMPORARY: strerr_dief(EXIT_TEMPORARY, out->submit.why);
  }
}

/* Everything between the options and the exit. */
static void inject(struct inject *j, struct options const *o)
{
  static struct input in;
  struct output out = { .print = o->print, .last = '\n', .submit = SUBMIT_ZERO };
  struct header h = HEADER_ZERO(INJECT_HEADER_MAX);
  char const *body = 0;
  size_t len = 0;
  if (o->rcpts == RCPTS_ARGS && !o->print) check_rcpts(j, 0);
  read_header(&in, &h, &body, &len);
  int resent = inject_header(j, h.text.s, h.len);
  struct rcpts const *header = o->rcpts == RCPTS_ARGS ? 0 : resent ? &j->resent : &j->header;
  if (!o->print) check_rcpts(j, header);
  if (!out.print) input_settle(&in);
  begin(&out, in.fd);
  if (out.print) put_sender(&out, &j->sender);
  put(&out, j->added.s, j->added.len);
  put(&out, j->saved.s, j->saved.len);
  if (h.empty || h.text.len > h.len || len) put(&out, "\n", 1);
  put(&out, h.text.s + h.len, h.text.len - h.len);
  stralloc_free(&h.text);
  stralloc_free(&j->saved);
  put_body(&out, &in, body, len);
  finish(&out, j, o, header);
}

static int inject_main(int argc, char const *const *argv)
{
  static struct inject j;
  struct options o = { .rcpts = RCPTS_DEFAULT, .envid = STRALLOC_ZERO };
  int closed = fcntl(0, F_GETFD) == -1;
  program_start("pipit-inject");
  if (argc < 1) strerr_dieusage(EXIT_PERMANENT, USAGE);
  argv += parse_options(argc, argv, &o);
  if (closed) strerr_dief(EXIT_TEMPORARY, "standard input is closed: there is no message");
  if (!priv_limit_memory(MEMORY)) strerr_diefusys(EXIT_TEMPORARY, "limit the memory");
  sig_catch(SIGALRM, too_late);
  alarm(PATIENCE);
  settings_load(&j.set);
  if (o.sender) inject_sender(&j, o.sender);
  if (o.rcpts != RCPTS_HEADER)
    for (; *argv; argv++) inject_argument(&j, *argv);
  inject(&j, &o);
  return 0;
}

/* qmail-queue.orig is one too: people put a program of their own in its place. */
static int is_queue(char const *called)
{
  static char const ours[] = "pipit-queue", qmails[] = "qmail-queue";
  return !strncmp(called, ours, sizeof ours - 1) || !strncmp(called, qmails, sizeof qmails - 1);
}

/* Under any other name it is the sendmail command. */
int main(int argc, char const *const *argv)
{
  char const *called = program_called(argc ? argv[0] : 0);
  if (is_queue(called)) return queue_main(argc, argv);
  return names_ours(called, "inject") ? inject_main(argc, argv) : sendmail_main(argc, argv);
}
