/* pipit-lmtp.c - deliver a message by LMTP, from a line of a dot-qmail file
 *
 * usage: pipit-lmtp [ -d ] [ -r recipient ] /path/of/socket
 *        pipit-lmtp [ -d ] [ -r recipient ] host:port
 *
 * The message is on descriptor 0, from where that stands. The sender is $SENDER, the
 * recipient $RECIPIENT, or with -r another one. With -d, $RPLINE and $DTLINE stand before
 * the message. What the server said goes to descriptor 1.
 *
 * exit: 0 the server has delivered it; 100 it never will, or wrong usage; 111 temporary trouble.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>
#include <skalibs/tai.h>

#include "confine.h"
#include "copy.h"
#include "deliver.h"
#include "pipit-lmtp.h"
#include "program.h"
#include "route.h"
#include "spool.h"

#define USAGE "pipit-lmtp [ -d ] [ -r recipient ] /path/of/socket | host:port"

static struct link link_now; /* too large for the stack */

struct options {
  int lines;
  char const *recipient, *server;
};

static void read_options(struct options *o, int argc, char const *const *argv)
{
  subgetopt l = SUBGETOPT_ZERO;
  for (int opt; (opt = subgetopt_r(argc, argv, "dr:", &l)) != -1;) switch (opt) {
    case 'd': o->lines = 1; break;
    case 'r': o->recipient = l.arg; break;
    default: strerr_dieusage(EXIT_PERMANENT, USAGE);
    }
  if (argc - l.ind != 1) strerr_dieusage(EXIT_PERMANENT, USAGE);
  o->server = argv[l.ind];
}

static char const *need(char const *name)
{
  char const *value = getenv(name);
  if (!value) strerr_dief2x(EXIT_PERMANENT, name, " is missing in the environment");
  return value;
}

/* Write the line of this name to <fd>. Its bytes. */
static size_t put_line(int fd, char const *name)
{
  char const *line = need(name);
  char const *lf = strchr(line, '\n');
  if (!lf || lf[1]) strerr_dief2x(EXIT_PERMANENT, name, " in the environment is not one line");
  size_t len = (size_t)(lf - line) + 1;
  if (allwrite(fd, line, len) != len) strerr_diefu1sys(EXIT_TEMPORARY, "copy the message");
  return len;
}

/* Put the two lines and the message into one file. */
static void prepend(struct job *j)
{
  j->fd = spool_open();
  if (j->fd == -1) strerr_diefu1sys(EXIT_TEMPORARY, "make a file for the message");
  size_t lines = put_line(j->fd, "RPLINE");
  lines += put_line(j->fd, "DTLINE");
  if (copy_bytes(0, j->fd, COPY_ALL, 0, 0, &j->length) != COPY_OK)
    strerr_diefu1sys(EXIT_TEMPORARY, "copy the message");
  j->length += lines;
}

static void find_message(struct job *j, int lines)
{
  if (lines) prepend(j);
  else if (!spool_whole(&j->fd, &j->offset, &j->length))
    strerr_diefu1sys(EXIT_TEMPORARY, "read the message");
}

/* Write what became of it. The exit code. */
static int report(struct outcome const *o)
{
  char const *text;
  size_t len;
  if (!o->nrcpts) strerr_dief1x(EXIT_TEMPORARY, "out of memory");
  char letter = outcome_of(o, 0, &text, &len);
  if (allwrite(1, text, len) != len) strerr_warnwu1sys("write the report");
  return letter == 'K' ? 0 : letter == 'D' ? EXIT_PERMANENT : EXIT_TEMPORARY;
}

int lmtp_main(int argc, char const *const *argv)
{
  struct options o = { .lines = 0 };
  struct job j = { .nrcpts = 1 };
  struct route route;
  program_start("pipit-lmtp");
  tain_now_set_stopwatch_g();
  read_options(&o, argc, argv);
  if (!route_parse_lmtp(&route, o.server) || route.kind == ROUTE_MX)
    strerr_dief2x(EXIT_PERMANENT, "not the path of a socket, and not host:port: ", o.server);
  j.host = o.server;
  j.sender = need("SENDER");
  j.rcpts = o.recipient ? o.recipient : need("RECIPIENT");
  j.rcptslen = strlen(j.rcpts) + 1;
  find_message(&j, o.lines);
  char const *failed = confine();
  if (failed) strerr_diefu1sys(EXIT_TEMPORARY, failed);
  link_init(&link_now);
  link_now.route = &route;
  int code = report(&deliver(&link_now, &j)->outcome);
  deliver_quit(&link_now);
  return code;
}
