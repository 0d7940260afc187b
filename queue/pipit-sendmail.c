/* pipit-sendmail.c - the sendmail command, for programs that expect one
 *
 * usage: pipit-sendmail [-t] [-f sender] [-F name] [-N notify] [-R ret] [-V envid] [-bm] [--]
 *                       [recipient...]
 *        pipit-sendmail -bp | -bs | -bi      mailq      newaliases
 *
 * It becomes pipit-inject, pipit-qread (-bp, mailq), pipit-smtpd (-bs) or newaliases (-bi); no
 * shell has a part in it. Accepted without effect: -i -m -v -x -B x -e x -o x
 * -p x -E -J.
 *
 * exit: what that program exits with; 100 wrong usage, 111 try later.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/genalloc.h>
#include <skalibs/sgetopt.h>
#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "address.h"
#include "addrlist.h"
#include "home.h"
#include "program.h"

#define USAGE                                                                                      \
  "sendmail [-t] [-f sender] [-F name] [-N notify] [-R full|hdrs] [-V envid] [-i] "              \
  "[-bm | -bp | -bs | -bi] [--] [recipient...]"

struct options {
  int header;         /* -t */
  char mode;          /* of -b */
  char const *sender; /* -f's, or NULL */
  char const *name;   /* -F's, or NULL */
  char const *notify; /* -N's, or NULL */
  char const *ret;    /* -R's, or NULL */
  char const *envid;  /* -V's, or NULL */
  int first;          /* index of the first recipient */
};

/* The addresses of the arguments, each with a NUL behind it. */
struct addresses {
  stralloc text;
  size_t count;
};

static void nomem(void) __attribute__((noreturn));
static void nomem(void)
{
  strerr_dief(EXIT_TEMPORARY, "out of memory");
}

static void run(char const *program, char const *const *argv) __attribute__((noreturn));
static void run(char const *program, char const *const *argv)
{
  char const *path = home_program(program);
  execv(path, (char *const *)argv);
  /* One argument may name more recipients than a program can be given: it never will. */
  strerr_diefusys(errno == E2BIG ? EXIT_PERMANENT : EXIT_TEMPORARY, "run ", path);
}

static void parse_options(int argc, char const *const *argv, struct options *o)
{
  subgetopt l = SUBGETOPT_ZERO;
  for (int opt; (opt = subgetopt_r(argc, argv, "vimxtEJe:f:p:o:B:F:b:N:R:V:", &l)) != -1;)
    switch (opt) {
    case 't': o->header = 1; break;
    case 'f': o->sender = l.arg; break;
    case 'F': o->name = l.arg; break;
    case 'N': o->notify = l.arg; break;
    case 'R': o->ret = l.arg; break;
    case 'V': o->envid = l.arg; break;
    case 'b':
      if (strlen(l.arg) != 1 || !strchr("mpsi", *l.arg)) strerr_dieusage(EXIT_PERMANENT, USAGE);
      o->mode = *l.arg;
      break;
    case 'E': /* the rest of such an argument belongs to it */
    case 'J':
      while (argv[l.ind][l.pos]) l.pos++;
      break;
    case '?': strerr_dieusage(EXIT_PERMANENT, USAGE);
    default: break; /* accepted without effect */
    }
  o->first = l.ind;
}

static void set(char const *name, char const *value)
{
  if (setenv(name, value, 1) == -1) nomem();
}

/* Does a client at the other end of a network speak on descriptor 0? */
static int from_network(void)
{
  struct sockaddr_storage ss;
  socklen_t len = sizeof ss;
  return getsockname(0, (struct sockaddr *)&ss, &len) == 0 && ss.ss_family != AF_UNIX;
}

/* -bs: whoever can run this may send mail anywhere; one who comes over the
 * network (under tcpserver, or inetd) is treated like any other client. */
static void smtpd(void) __attribute__((noreturn));
static void smtpd(void)
{
  if (!getenv("PROTO") && !from_network()) {
    set("RELAYCLIENT", "");
    set("DATABYTES", "0");
    set("PROTO", "TCP");
    set("TCPLOCALIP", "127.0.0.1");
    set("TCPLOCALHOST", "localhost");
    set("TCPREMOTEIP", "127.0.0.1");
    set("TCPREMOTEHOST", "localhost");
    set("TCPREMOTEINFO", "sendmail-bs");
  }
  run("pipit-smtpd", (char const *const[]){ "pipit-smtpd", 0 });
}

static void qread(void) __attribute__((noreturn));
static void qread(void)
{
  run("pipit-qread", (char const *const[]){ "pipit-qread", 0 });
}

static void newaliases(void) __attribute__((noreturn));
static void newaliases(void)
{
  run("newaliases", (char const *const[]){ "newaliases", 0 });
}

static int add_address(void *data, struct addrlist_addr const *a)
{
  struct addresses *to = data;
  if (memchr(a->s, 0, a->len)) return (errno = EINVAL, 0);
  if (!stralloc_catb(&to->text, a->s, a->len) || !stralloc_0(&to->text)) return 0;
  to->count++;
  return 1;
}

/* Does it look like more than one bare address? cron, for one, passes MAILTO on as it is. */
static int is_list(char const *arg)
{
  return arg[strcspn(arg, ",<>()\" ")] != 0;
}

/* Take an argument apart. What cannot be understood is passed on as it is: inject says why. */
static void add_argument(struct addresses *to, char const *arg)
{
  size_t len = to->text.len;
  size_t count = to->count;
  if (is_list(arg)) {
    int r = addrlist_parse(arg, strlen(arg), add_address, to);
    if (r == -1 && errno == ENOMEM) nomem();
    if (r == 1 && to->count > count) return;
    to->text.len = len;
    to->count = count;
  }
  if (!stralloc_cats(&to->text, arg) || !stralloc_0(&to->text)) nomem();
  to->count++;
}

/* The sender is also who the message is from when it does not say so itself. */
static void set_from(char const *sender)
{
  size_t len = strlen(sender);
  size_t at = address_at(sender, len);
  if (!len) return;
  char *user = strndup(sender, at);
  if (!user) nomem();
  unsetenv("QMAILNAME");
  unsetenv("MAILNAME");
  unsetenv("NAME");
  unsetenv("QMAILHOST");
  unsetenv("MAILHOST");
  set("QMAILUSER", user);
  if (at + 1 < len) set("QMAILHOST", sender + at + 1);
  free(user);
}

static void append(genalloc *argv, char const *arg)
{
  if (!genalloc_append(char const *, argv, &arg)) nomem();
}

static void add_sender(genalloc *argv, char const *sender)
{
  struct addresses from = { .text = STRALLOC_ZERO };
  add_argument(&from, sender);
  if (from.count == 1) sender = from.text.s;
  append(argv, "-f");
  append(argv, sender);
  set_from(sender);
}

/* inject checks the value. */
static void add_option(genalloc *argv, char const *option, char const *value)
{
  if (!value) return;
  append(argv, option);
  append(argv, value);
}

static void inject(struct options const *o, char const *const *rcpts) __attribute__((noreturn));
static void inject(struct options const *o, char const *const *rcpts)
{
  struct addresses to = { .text = STRALLOC_ZERO };
  genalloc argv = GENALLOC_ZERO;
  append(&argv, "pipit-inject");
  append(&argv, o->header ? "-H" : "-a");
  if (o->sender) add_sender(&argv, o->sender);
  if (o->name) set("QMAILNAME", o->name);
  add_option(&argv, "-D", o->notify);
  add_option(&argv, "-R", o->ret);
  add_option(&argv, "-V", o->envid);
  append(&argv, "--");
  for (; *rcpts; rcpts++) add_argument(&to, *rcpts);
  for (size_t pos = 0; pos < to.text.len; pos += strlen(to.text.s + pos) + 1)
    append(&argv, to.text.s + pos);
  append(&argv, 0);
  run("pipit-inject", genalloc_s(char const *, &argv));
}

/* The name that this was started as, without its directory. */
static char const *called(char const *const *argv)
{
  char const *slash = strrchr(argv[0], '/');
  return slash ? slash + 1 : argv[0];
}

int main(int argc, char const *const *argv)
{
  struct options o = { .mode = 'm' };
  int closed = fcntl(0, F_GETFD) == -1;
  program_start("sendmail");
  if (argc < 1) strerr_dieusage(EXIT_PERMANENT, USAGE);
  parse_options(argc, argv, &o);
  if (o.mode == 'i' || !strcmp(called(argv), "newaliases")) newaliases();
  if (o.mode == 'p' || !strcmp(called(argv), "mailq")) qread();
  if (closed) strerr_dief(EXIT_TEMPORARY, "standard input is closed: there is no message");
  if (o.mode == 's') smtpd();
  inject(&o, argv + o.first);
}
