/* pipit-local.c - deliver to one local address, as qmail-local does
 *
 * usage: pipit-local [ -M ] [ -n | -N ] [ -q quota ] [ -l length ] [ -- ]
 *                    user homedir local dash ext domain sender defaultdelivery
 *
 * The message is on descriptor 0: exactly <length> bytes with -l (fewer are a
 * temporary failure, and nothing is delivered), all there is without. -n says
 * what would be done and does nothing. See dot-qmail(5).
 * -M: no dot-qmail file is looked for; the default delivery is what is done, and Maildirs are made.
 * -q: how much the Maildirs may hold, "bytesS,messagesC" or "bytes".
 *
 * exit: 0 delivered, 100 never, 111 try later. The text on descriptors 1 and 2 is
 * for the log and for the bounce.
 */

#include <string.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "copy.h"
#include "perform.h"
#include "pipit-local.h"
#include "program.h"

#define USAGE                                                                                      \
  "pipit-local [ -M ] [ -n | -N ] [ -q quota ] [ -l length ] user homedir local dash ext "    \
  "domain sender defaultdelivery"

struct options {
  uint64_t length;
  struct perform how;
  char const *const *args;
};

static void usage(void) __attribute__((noreturn));
static void usage(void)
{
  strerr_dieusage(EXIT_PERMANENT, USAGE);
}

static void read_arguments(struct options *o, int argc, char const *const *argv)
{
  subgetopt l = SUBGETOPT_ZERO;
  for (int opt; (opt = subgetopt_r(argc, argv, "nNMq:l:", &l)) != -1;) switch (opt) {
    case 'n': o->how.describe = 1; break;
    case 'N': o->how.describe = 0; break;
    case 'M': perform_mailbox(&o->how); break;
    case 'q': perform_quota(&o->how, l.arg); break;
    case 'l':
      if (!uint640_scan(l.arg, &o->length) || o->length == COPY_ALL) usage();
      break;
    default: usage();
    }
  argc -= l.ind;
  o->args = argv + l.ind;
  if (argc != DELIVERY_ARGS) usage();
  if (o->args[1][0] != '/') usage();
}

static void deliver(struct options const *o)
{
  static struct perform p;
  char text[PERFORM_SUMMARY_MAX];
  p = o->how;
  p.maildir.tidy = 1;
  perform_begin(&p, o->args);
  if (p.describe) return perform_describe(&p);
  perform_deliver(&p, 0, 0, o->length);
  allwrite(1, text, perform_summary(&p, text));
}

int local_main(int argc, char const *const *argv)
{
  static struct options o; /* all zeros, which take no room in the file */
  program_start("pipit-local");
  if (!argc) usage();
  o.length = COPY_ALL;
  read_arguments(&o, argc, argv);
  perform_confine();
  deliver(&o);
  return 0;
}
