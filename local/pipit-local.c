/* pipit-local.c - deliver one message to one local address, as qmail-local does
 *
 * usage: pipit-local [ -n | -N ] [ -l length ] [ -- ] user homedir local dash ext domain sender
 * defaultdelivery
 *
 * The message is on descriptor 0: exactly <length> bytes with -l (fewer are a
 * temporary failure, and nothing is delivered), all there is without. -n says
 * what would be done and does nothing. See dot-qmail(5).
 *
 * exit: 0 delivered, 100 never, 111 try later. The text on descriptors 1 and 2 is
 * for the log and for the bounce.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/buffer.h>
#include <skalibs/sgetopt.h>
#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>
#include <skalibs/uint64.h>

#include "command.h"
#include "copy.h"
#include "delivery.h"
#include "dotqmail.h"
#include "forward.h"
#include "maildir.h"
#include "mbox.h"
#include "message.h"
#include "priv.h"
#include "program.h"
#include "report.h"

#define USAGE                                                                                      \
  "pipit-local [ -n | -N ] [ -l length ] user homedir local dash ext domain sender "               \
  "defaultdelivery"
#define MEMORY_MAX  134217728 /* bytes of address space; programs get the limit that we had */
#define SECONDS_MAX 604800 /* after which a delivery that hangs is killed, if nobody did before */

struct job {
  int describe; /* -n */
  uint64_t length;
  struct delivery d;
  struct message m;
  struct dotqmail q;
  stralloc newsender; /* NUL-terminated: the sender of forwards */
  struct report r;
  size_t files, programs, forwards; /* done */
};

static void fail(struct job const *j) __attribute__((noreturn));
static void fail(struct job const *j)
{
  if (!*j->r.text) _exit(j->r.code);
  strerr_die(j->r.code, j->r.text);
}

static void die_nomem(void) __attribute__((noreturn));
static void die_nomem(void)
{
  strerr_die(EXIT_TEMPORARY, "Out of memory. (#4.3.0)");
}

static void usage(void) __attribute__((noreturn));
static void usage(void)
{
  strerr_dieusage(EXIT_PERMANENT, USAGE);
}

/* Go home, unless the home says that its owner is at work there or that it is open to all. */
static void enter_home(struct job const *j)
{
  struct stat st;
  if (chdir(j->d.home) == -1)
    strerr_die(EXIT_TEMPORARY, "Unable to switch to ", j->d.home, ": ", strerror(errno),
               ". (#4.3.0)");
  if (stat(".", &st) == -1)
    strerr_die(EXIT_TEMPORARY, "Unable to stat home directory: ", strerror(errno), ". (#4.3.0)");
  if (st.st_mode & DOTQMAIL_PATRN)
    strerr_die(EXIT_TEMPORARY, "Uh-oh: home directory is writable. (#4.7.0)");
  if (!(st.st_mode & S_ISVTX)) return;
  if (!j->describe)
    strerr_die(EXIT_TEMPORARY,
               "Home directory is sticky: user is editing his .qmail file. (#4.2.1)");
  strerr_warn("Warning: home directory is sticky.");
}

static int add(stralloc *sa, char const *s)
{
  return stralloc_catb(sa, s, strlen(s));
}

/* Who forwards come from: local-owner where that address exists, and with
 * -owner-default each recipient's own variant of it (VERP). */
static void choose_sender(struct job *j)
{
  struct delivery const *d = &j->d;
  int owner = 0, verp = 0;
  if (*d->sender && strcmp(d->sender, "#@[]")) {
    owner = dotqmail_exists(d->dash, d->ext, "-owner", &j->r);
    if (owner == 1) verp = dotqmail_exists(d->dash, d->ext, "-owner-default", &j->r);
    if (owner == -1 || verp == -1) fail(j);
  }
  int ok = owner ? add(&j->newsender, d->local) &&
                       add(&j->newsender, verp ? "-owner-@" : "-owner@") &&
                       add(&j->newsender, d->host) && (!verp || add(&j->newsender, "-@[]"))
                 : add(&j->newsender, d->sender);
  if (!ok || !stralloc_append(&j->newsender, 0)) die_nomem();
  if (!delivery_setenv("NEWSENDER", j->newsender.s)) die_nomem();
}

/* Find out what is to be done. */
static void read_instructions(struct job *j)
{
  struct dotqmail_file f;
  if (!delivery_environment(&j->d)) die_nomem();
  if (!dotqmail_find(&f, j->d.dash, j->d.ext, &j->r)) fail(j);
  if (f.fd == -1 && *j->d.dash)
    strerr_die(EXIT_PERMANENT, "Sorry, no mailbox here by that name. (#5.1.1)");
  unsetenv("DEFAULT");
  if (f.defaultfrom != DOTQMAIL_NOTDEF && !delivery_setenv("DEFAULT", j->d.ext + f.defaultfrom))
    die_nomem();
  choose_sender(j);
  if (!dotqmail_read(&j->q, &f, j->d.fallback, &j->r)) fail(j);
}

static void refuse(struct job const *j)
{
  if (j->q.refusal) strerr_die(EXIT_TEMPORARY, j->q.refusal);
}

static void describe(struct job const *j)
{
  static char const *const kinds[] = {"maildir ", "mbox ", "program ", "forward "};
  for (size_t i = 0; i < j->q.count; i++) {
    buffer_puts(buffer_1, kinds[j->q.list[i].kind]);
    buffer_puts(buffer_1, j->q.list[i].text);
    buffer_puts(buffer_1, "\n");
  }
}

static int execute_one(struct job *j, struct instruction const *i)
{
  switch (i->kind) {
  case INSTRUCTION_MAILDIR: j->files++; return maildir_deliver(&j->d, &j->m, i->text, &j->r);
  case INSTRUCTION_MBOX: j->files++; return mbox_deliver(&j->d, &j->m, i->text, &j->r);
  case INSTRUCTION_PROGRAM: j->programs++; return command_run(&j->m, i->text, &j->r);
  case INSTRUCTION_FORWARD: j->forwards++; return 1;
  }
  return 0;
}

/* Follow the instructions in their order; all forwards go together at the end. */
static void execute(struct job *j, uint64_t *qp)
{
  struct dotqmail const *q = &j->q;
  size_t n = 0;
  int r = 1;
  /* A single Maildir needs no copy: what was read of a message that is not whole is removed. */
  int direct = q->count == 1 && q->list[0].kind == INSTRUCTION_MAILDIR;
  if (!direct && !message_keep(&j->m, q->programs > 0, &j->r)) fail(j);
  while (n < q->count && r == 1) {
    r = execute_one(j, q->list + n++);
    if (!r) fail(j);
  }
  if (r == 1) refuse(j);
  if (!j->forwards) return;
  if (!forward_send(&j->d, &j->m, q, n, j->newsender.s, qp, &j->r)) fail(j);
}

static void put_number(char const *before, uint64_t n)
{
  char fmt[UINT64_FMT];
  buffer_puts(buffer_1, before);
  buffer_put(buffer_1, fmt, uint64_fmt(fmt, n));
}

static void put_summary(struct job const *j, uint64_t qp)
{
  put_number("did ", j->files);
  put_number("+", j->forwards);
  put_number("+", j->programs);
  if (qp) put_number("\nqp ", qp);
  buffer_puts(buffer_1, "\n");
}

/* Read options and arguments into <j>. */
static void read_arguments(struct job *j, int argc, char const *const *argv)
{
  subgetopt l = SUBGETOPT_ZERO;
  for (int opt; (opt = subgetopt_r(argc, argv, "nNl:", &l)) != -1;) switch (opt) {
    case 'n': j->describe = 1; break;
    case 'N': j->describe = 0; break;
    case 'l':
      if (!uint640_scan(l.arg, &j->length) || j->length == COPY_ALL) usage();
      break;
    default: usage();
    }
  argc -= l.ind;
  argv += l.ind;
  if (argc < DELIVERY_ARGS || argv[1][0] != '/') usage();
  if (!delivery_init(&j->d, argv, time(0))) die_nomem();
}

int main(int argc, char const *const *argv)
{
  static struct job j = {.length = COPY_ALL};
  uint64_t qp = 0;
  program_start("pipit-local");
  alarm(SECONDS_MAX);
  if (!argc) usage();
  read_arguments(&j, argc, argv);
  if (!getuid() || !geteuid())
    strerr_die(EXIT_TEMPORARY, "Not allowed to perform deliveries as root. (#4.3.0)");
  if (!priv_limit_memory(MEMORY_MAX))
    strerr_die(EXIT_TEMPORARY, "Unable to limit memory. (#4.3.0)");
  enter_home(&j);
  read_instructions(&j);
  if (!j.q.programs && !j.describe) refuse(&j);
  message_init(&j.m, j.length, delivery_recipient(&j.d), delivery_recipientlen(&j.d));
  if (j.describe) {
    describe(&j);
    buffer_flush(buffer_1);
    refuse(&j);
  } else {
    execute(&j, &qp);
    put_summary(&j, qp);
    buffer_flush(buffer_1);
  }
  return 0;
}
