/* pipit-smtpd.c - the SMTP server: take mail in and hand it to the queue; as pipit-ofmipd, from those
 * alone who have logged in, with their headers mended; as pipit-popup, let users log in to their mail by
 * POP3
 *
 * usage: pipit-smtpd [-trAmk] [host program arg...]
 *        pipit-smtpd -l [-trAmk] [-a address]... [-p port] [-s socket] [-x cdb] [-c sessions]
 *                    [-C sessions] [-b backlog] [-d readyfd] [host program arg...]
 *
 * pipit-ofmipd takes the same, and before host or in its place a name cdb (which has a / in it, ends
 * in .cdb, or is empty: the one in control/). Without program it asks pipit-authd.
 *
 *        pipit-popup [-trm] [host program arg...]
 *        pipit-popup -l [-tm] [-a address]... [-p port] [-x cdb] [-c sessions] [-C sessions]
 *                    [-b backlog] [-d readyfd] [host program arg...]
 *
 * program arg... of pipit-popup: a checkpassword program, and what it executes as the user with the
 * client on descriptors 0 and 1 (pipit-pop3d Maildir). Without it pipit-authd does both.
 *
 * Without -l, serves one client on descriptors 0 and 1, as tcpserver and its
 * like start it. With -l it listens itself; with -s it also takes the clients that
 * pipit-handover has from tcpserver, or those alone where neither -a nor -p is given.
 * -t: TLS begins on connect (port 465), as with SMTPS=1 in the environment.
 * program arg...: clients may log in, and this checkpassword program checks whether they may;
 * host, which qmail's servers had there, is not used.
 * -A: pipit-authd checks it. -r: who has not logged in, nor has RELAYCLIENT, sends no mail.
 * -m, -k: the program can check responses to CRAM-MD5, and gets the response before (-m) or behind
 * (-k) the challenge.
 *
 * exit: 0 the session is over (-l: SIGTERM), 100 wrong usage, 111 local
 * trouble, about which one line is on stderr.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "../ofmipd/submission.h"
#include "../pop3/popup.h"
#include "accounts.h"
#include "auth.h"
#include "home.h"
#include "listen.h"
#include "mode.h"
#include "priv.h"
#include "program.h"
#include "recipient.h"
#include "sandbox.h"
#include "session.h"
#include "smtpd.h"

#define USAGE \
  "pipit-smtpd [ -trAmk ] [ -l [ -a address ] [ -p port ] [ -s socket ] [ -x cdb ] [ -c sessions ] " \
  "[ -C sessions ] [ -b backlog ] [ -d readyfd ] ] [ host program arg... ]"

#define USAGE_SUBMISSION \
  "pipit-ofmipd [ -tmk ] [ -l [ -a address ] [ -p port ] [ -x cdb ] [ -c sessions ] [ -C sessions ] " \
  "[ -b backlog ] [ -d readyfd ] ] [ name.cdb ] [ host program arg... ]"

#define USAGE_POP3 \
  "pipit-popup [ -trm ] [ -l [ -a address ] [ -p port ] [ -x cdb ] [ -c sessions ] [ -C sessions ] " \
  "[ -b backlog ] [ -d readyfd ] ] [ host program arg... ]"

#define MEMORY_SESSION  134217728 /* bytes of address space that a session may have */
#define MEMORY_LISTENER 536870912 /* and the listener, which may hold two sets of settings */
#define BACKLOG         128

struct options {
  int listen;
  int tls;
  int authd;
  int required;
  struct auth auth;
  char const *host;
  char const *addresses[SOCKETS_MAX];
  size_t naddresses;
  char const *port;
  char const *handover;
  char const *cdb;
  unsigned long sessions;
  unsigned long per_client;
  unsigned int backlog;
  int ready_fd;
};

static void usage(void)
{
  strerr_dieusage(EXIT_PERMANENT, mode.submission ? USAGE_SUBMISSION : mode.pop3 ? USAGE_POP3 : USAGE);
}

static unsigned int number(char const *s, unsigned int min)
{
  unsigned int n;
  if (!uint0_scan(s, &n) || n < min || n > 65535) usage();
  return n;
}

static void read_options(struct options *o, int argc, char const *const *argv)
{
  subgetopt g = SUBGETOPT_ZERO;
  int others = 0;
  for (int opt; (opt = subgetopt_r(argc, argv, "ltrAmka:p:s:x:c:C:b:d:", &g)) != -1; others += !strchr("ltrAmk", opt))
    switch (opt) {
      case 'l': o->listen = 1; break;
      case 't': o->tls = 1; break;
      case 'r': o->required = 1; break;
      case 'A': o->authd = 1; break;
      case 'm':
      case 'k':
        o->auth.has_cram = 1;
        o->auth.challenge_first = opt == 'k';
        break;
      case 'a':
        if (o->naddresses == SOCKETS_MAX) usage();
        o->addresses[o->naddresses++] = g.arg;
        break;
      case 'p': o->port = (number(g.arg, 1), g.arg); break;
      case 's':
        if (!*g.arg) usage();
        o->handover = g.arg;
        break;
      case 'x': o->cdb = g.arg; break;
      case 'c': o->sessions = number(g.arg, 1); break;
      case 'C': o->per_client = number(g.arg, 1); break;
      case 'b': o->backlog = number(g.arg, 1); break;
      case 'd': o->ready_fd = (int)number(g.arg, 3); break;
      default: usage();
    }
  if (mode.submission && g.ind < argc && submission_is_names(argv[g.ind])) {
    if (*argv[g.ind]) mode.names = argv[g.ind];
    g.ind++;
  }
  int programs = argc - g.ind; /* host is one of them */
  if (programs == 1 || (programs && o->authd) || (others && !o->listen) || (mode.pop3 && o->handover)) usage();
  if (programs) o->host = argv[g.ind], o->auth.checker = (char **)argv + g.ind + 1;
  else if (mode.pop3) o->authd = 1;
  else if (o->auth.has_cram || (o->required && !o->authd)) usage();
}

static char const *folder_of(char out[600], char const *path)
{
  char const *slash = strrchr(path, '/');
  snprintf(out, 600, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
  return out;
}

/* Nothing that a session does needs to execute a program, or to write a file.
 * 1, or 0 with errno. */
static int confine(char const *cdb)
{
  char control[600], rules[600], names[600];
  char const *paths[] = { control, 0, 0, 0 };
  char const **next = paths + 1;
  snprintf(control, sizeof control, "%s/control", home_dir());
  if (cdb) *next++ = folder_of(rules, cdb);
  if (mode.names) *next = folder_of(names, mode.names);
  return sandbox_no_exec() != -1 && sandbox_read_only(paths) != -1;
}

/* May a session have to execute a program? One of POP3 has no use for those of SMTP. */
static int runs_program(void)
{
  return auth_runs_program() || (!mode.pop3 && (recipient_runs_program() || submit_uses_program()));
}

static enum served refuse(int out, char const *why)
{
  strerr_warnw(why);
  fd_write(out, mode.trouble, strlen(mode.trouble));
  fd_write(out, "\r\n", 2);
  return SERVED_NOT;
}

enum served smtpd_serve(struct smtpd *d, struct client *client, stralloc const *rule, int in, int out)
{
  if (!client_load(client, rule))
    return refuse(out, "DATABYTES or BRTLIMIT is not a whole number; write digits only");
  if (!priv_limit_memory(MEMORY_SESSION)) return refuse(out, "unable to limit my memory");
  if (!d->confined && !runs_program() && !confine(0))
    return refuse(out, "unable to confine myself");
  d->confined = 1;
  if (mode.pop3) return popup_serve(d->settings, client, in, out, d->stop);
  return session_serve(d->settings, client, in, out, d->stop, d->again) ? SERVED_AGAIN : SERVED_OVER;
}

static enum served serve_one(struct settings *settings)
{
  struct smtpd d = { .settings = settings };
  struct client c = { .ip = "" };
  struct accounts a;
  int root = mode.pop3 && auth_runs_program(); /* it becomes the user */
  if (!root && !geteuid() && !(accounts_load(&a) && accounts_become(&a, ACCOUNT_SMTPD)))
    return refuse(1, accounts_why());
  if (!settings_load(settings, 0)) return refuse(1, settings_why());
  client_find(&c, 0, 0);
  return smtpd_serve(&d, &c, 0, 0, 1);
}

/* What root is needed for. */
static int open_sockets(struct sockets *s, struct options const *o, struct accounts const *a)
{
  int tcp = !o->handover || o->port || o->naddresses;
  if (tcp && !sockets_open(s, o->addresses, o->naddresses, o->port ? o->port : mode.port, o->backlog))
    return 0;
  return !o->handover || sockets_open_handover(s, o->handover, o->backlog, a->uid[ACCOUNT_SMTPD],
                                               a->gid[ACCOUNT_SMTPD]);
}

static int serve_all(struct settings *settings, struct options const *o)
{
  struct accounts a;
  struct listener l = { .settings = settings, .access = { .path = o->cdb },
                        .sockets = SOCKETS_NONE, .sessions = o->sessions, .per_client = o->per_client,
                        .ready_fd = o->ready_fd };
  if (!accounts_load(&a)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (!open_sockets(&l.sockets, o, &a)) return EXIT_TEMPORARY;
  if (!accounts_become(&a, ACCOUNT_SMTPD)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (!priv_limit_memory(MEMORY_LISTENER)) strerr_diefusys(EXIT_TEMPORARY, "limit my memory");
  if (!settings_load(settings, 1)) strerr_dief(EXIT_TEMPORARY, settings_why());
  int rules = l.sockets.count > 0; /* tcpserver has its own */
  l.access.allow_program = runs_program() || (rules && access_sets_program(&l.access));
  if (!mode.pop3 && !recipient_share())
    strerr_diefusys(EXIT_TEMPORARY, "share memory with sessions");
  if (rules && !access_refresh(&l.access)) strerr_dief(EXIT_TEMPORARY, access_why());
  if (!l.access.allow_program && !confine(o->cdb))
    strerr_diefusys(EXIT_TEMPORARY, "confine myself");
  return listen_run(&l);
}

static struct mode const submission = { .program = "pipit-ofmipd", .submission = 1, .port = "587",
                                        .rules = "control/tcp.submission.cdb", MODE_SMTP };

static struct mode const pop3 = {
  .program = "pipit-popup", .pop3 = 1, .port = "110", .rules = "control/tcp.pop3.cdb",
  .limit = "concurrencypop3", .limit_client = "concurrencypop3client", .denied = "-ERR access denied",
  .trouble = "-ERR [SYS/TEMP] local trouble, try again later",
  .full = "-ERR [SYS/TEMP] too many connections, try again later",
  .full_client = "-ERR [SYS/TEMP] too many connections from you, try again later"
};

int main(int argc, char const *const *argv)
{
  static struct settings settings;
  struct options o = { .backlog = BACKLOG, .ready_fd = -1 };
  if (argc && strstr(program_called(argv[0]), "ofmipd")) mode = submission;
  else if (argc && strstr(program_called(argv[0]), "popup")) mode = pop3;
  program_start(mode.program);
  if (!argc) usage();
  read_options(&o, argc, argv);
  if (mode.pop3) {
    /* qmail-popup's clients have always had APOP, and their passwords were taken in clear. */
    if (o.auth.checker && !strcmp(program_called(argv[0]), "qmail-popup")) o.auth.has_cram = 1;
    popup_offer(&o.auth, o.host, !o.listen && !o.required);
    auth_offer(&o.auth, AUTHWIRE_POP3, 0);
  } else if (mode.submission) auth_offer(&o.auth, AUTHWIRE_SUBMISSION, 1);
  else if (o.authd || o.auth.checker) auth_offer(&o.auth, AUTHWIRE_SMTP, o.required);
  if (o.tls) setenv("SMTPS", "1", 1);
  if (o.listen) return serve_all(&settings, &o);
  return serve_one(&settings) == SERVED_NOT ? EXIT_TEMPORARY : 0;
}
