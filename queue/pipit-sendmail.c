/* pipit-sendmail.c - the sendmail command, for programs that expect one
 *
 * usage: pipit-sendmail [-t] [-f sender] [-F name] [-N notify] [-R ret] [-V envid] [-bm] [--]
 *                       [recipient...]
 *        pipit-sendmail -bp | -bs | -bi | -bv recipient... | -q...      mailq      newaliases
 *
 * It is pipit-inject under other names. It becomes pipit-inject, pipit-qread (-bp, mailq),
 * pipit-smtpd (-bs), pipit-verify (-bv), pipit-flush (-q) or newaliases (-bi, -I); no shell has a
 * part in it. pipit-sendmail(8) has the table of all options.
 *
 * exit: what that program exits with; 100 wrong usage, 111 try later.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/genalloc.h>
#include <skalibs/sgetopt.h>
#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "address.h"
#include "addrlist.h"
#include "home.h"
#include "inject.h"
#include "program.h"

#define USAGE                                                                                      \
  "sendmail [-t] [-f sender] [-F name] [-N notify] [-R full|hdrs] [-V envid] [-i] "              \
  "[-bm | -bp | -bs | -bi | -bv | -q] [--] [recipient...]"
#define OPTIONS "vimxntEJGUIqdDe:f:r:p:o:B:F:b:N:R:V:O:A:L:C:X:h:"

struct options {
  int header;          /* -t */
  char mode;           /* of -b; 'q' for -q */
  char const *sender;  /* -f's, or NULL */
  char const *name;    /* -F's, or NULL */
  char const *notify;  /* -N's, or NULL */
  char const *ret;     /* -R's, or NULL */
  char const *envid;   /* -V's, or NULL */
  char const *which;   /* what stands behind -q, or "" */
  char const *aliases; /* a file of aliases, or NULL */
  int first;           /* index of the first recipient */
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

/* What others do with an option, and why it cannot be so here. */
static void refuse(char const *option, char const *value, char const *why)
    __attribute__((noreturn));
static void refuse(char const *option, char const *value, char const *why)
{
  strerr_dief(EXIT_PERMANENT, "-", option, value, " is refused: ", why);
}

static void take_mode(struct options *o, char const *arg)
{
  if (!strcmp(arg, "d") || !strcmp(arg, "D") || !strcmp(arg, "l"))
    refuse("b", arg, "the server is started with pipit-run or by its supervision");
  if (!strcmp(arg, "t")) refuse("b", arg, "addresses are not tested step by step; -bv says where one goes");
  if (strlen(arg) != 1 || !strchr("mpsiv", *arg)) strerr_dieusage(EXIT_PERMANENT, USAGE);
  o->mode = *arg;
}

/* -q, -qf: all mail; -qI, -qR, -qS with a value: some of it. */
static void take_queue(struct options *o, char const *arg)
{
  if (*arg && strcmp(arg, "f") && (!strchr("IRS", *arg) || !arg[1]))
    refuse("q", arg, "the server tries again by itself; -q tries all mail now, and -qIid, "
                     "-qRdomain, -qSsender some of it");
  o->mode = 'q';
  o->which = arg;
}

/* -O name=value: most of them are about how and when, which is the server's affair. */
static void take_long_option(struct options *o, char const *arg)
{
  char const *value = strchr(arg, '=');
  if (!strncasecmp(arg, "AliasFile=", 10)) o->aliases = value + 1;
  else if (value && value[1] == '/') refuse("O ", arg, "files and directories are those of the instance");
}

static void take_body(char const *arg)
{
  if (strcasecmp(arg, "7BIT") && strcasecmp(arg, "8BITMIME"))
    refuse("B ", arg, "a message is 7BIT or 8BITMIME");
}

static void take_file(char option, char const *arg) __attribute__((noreturn));
static void take_file(char option, char const *arg)
{
  char const name[] = { option, ' ', 0 };
  refuse(name, arg, option == 'X' ? "no transcript is written"
                                  : "settings are in control/ of the instance that PIPIT_HOME names");
}

static void take_option(struct options *o, int opt, char const *arg)
{
  switch (opt) {
  case 't': o->header = 1; break;
  case 'f':
  case 'r': o->sender = arg; break;
  case 'F': o->name = arg; break;
  case 'N': o->notify = arg; break;
  case 'R': o->ret = arg; break;
  case 'V': o->envid = arg; break;
  case 'b': take_mode(o, arg); break;
  case 'I': o->mode = 'i'; break;
  case 'q': take_queue(o, arg); break;
  case 'o':
    if (*arg == 'A' && arg[1]) o->aliases = arg + 1;
    break;
  case 'O': take_long_option(o, arg); break;
  case 'B': take_body(arg); break;
  case 'C':
  case 'X': take_file((char)opt, arg);
  case 'd':
  case 'D': refuse((char const[]){ (char)opt, 0 }, arg, "there is nothing to debug here");
  case '?': strerr_dieusage(EXIT_PERMANENT, USAGE);
  default: break; /* accepted without effect */
  }
}

static void parse_options(int argc, char const *const *argv, struct options *o)
{
  subgetopt l = SUBGETOPT_ZERO;
  for (int opt; (opt = subgetopt_r(argc, argv, OPTIONS, &l)) != -1;) {
    char const *arg = l.arg;
    if (strchr("EJqdD", opt)) { /* the rest of such an argument belongs to it */
      arg = argv[l.ind] + l.pos;
      while (argv[l.ind][l.pos]) l.pos++;
    }
    take_option(o, opt, arg);
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

static void newaliases(char const *file) __attribute__((noreturn));
static void newaliases(char const *file)
{
  run("newaliases", (char const *const[]){ "newaliases", file, 0 });
}

static void flush(char const *which) __attribute__((noreturn));
static void flush(char const *which)
{
  char const *option = *which == 'I' ? "-i" : *which == 'S' ? "-s" : "-d";
  if (*which && *which != 'f')
    run("pipit-flush", (char const *const[]){ "pipit-flush", option, which + 1, 0 });
  run("pipit-flush", (char const *const[]){ "pipit-flush", "all", 0 });
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

/* Run <program> with what is in <argv> and the recipients of these arguments. */
static void run_for(char const *program, genalloc *argv, char const *const *rcpts)
    __attribute__((noreturn));
static void run_for(char const *program, genalloc *argv, char const *const *rcpts)
{
  struct addresses to = { .text = STRALLOC_ZERO };
  for (; *rcpts; rcpts++) add_argument(&to, *rcpts);
  for (size_t pos = 0; pos < to.text.len; pos += strlen(to.text.s + pos) + 1)
    append(argv, to.text.s + pos);
  append(argv, 0);
  run(program, genalloc_s(char const *, argv));
}

static void inject(struct options const *o, char const *const *rcpts) __attribute__((noreturn));
static void inject(struct options const *o, char const *const *rcpts)
{
  genalloc argv = GENALLOC_ZERO;
  append(&argv, "pipit-inject");
  append(&argv, o->header ? "-H" : "-a");
  if (o->sender) add_sender(&argv, o->sender);
  if (o->name) set("QMAILNAME", o->name);
  add_option(&argv, "-D", o->notify);
  add_option(&argv, "-R", o->ret);
  add_option(&argv, "-V", o->envid);
  append(&argv, "--");
  run_for("pipit-inject", &argv, rcpts);
}

/* -bv */
static void verify(struct options const *o, char const *const *rcpts) __attribute__((noreturn));
static void verify(struct options const *o, char const *const *rcpts)
{
  genalloc argv = GENALLOC_ZERO;
  append(&argv, "pipit-verify");
  add_option(&argv, "-f", o->sender);
  append(&argv, "--");
  run_for("pipit-verify", &argv, rcpts);
}

int sendmail_main(int argc, char const *const *argv)
{
  struct options o = { .mode = 'm', .which = "" };
  int closed = fcntl(0, F_GETFD) == -1;
  program_start("sendmail");
  if (argc < 1) strerr_dieusage(EXIT_PERMANENT, USAGE);
  parse_options(argc, argv, &o);
  char const *called = program_called(argv[0]);
  if (o.mode == 'i' || !strcmp(called, "newaliases")) newaliases(o.aliases);
  if (o.mode == 'p' || !strcmp(called, "mailq")) qread();
  if (o.mode == 'q') flush(o.which);
  if (o.mode == 'v') verify(&o, argv + o.first);
  if (closed) strerr_dief(EXIT_TEMPORARY, "standard input is closed: there is no message");
  if (o.mode == 's') smtpd();
  inject(&o, argv + o.first);
}
