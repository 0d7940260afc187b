/* pipit-local.c - deliver to one local address, as qmail-local does
 *
 * usage: pipit-local [ -M ] [ -n | -N ] [ -q quota ] [ -l length ] [ -- ]
 *                    user homedir local dash ext domain sender defaultdelivery
 *        pipit-local -w [ -M ] [ -q quota ] [ -- ] user homedir local dash ext domain defaultdelivery
 *
 * The message is on descriptor 0: exactly <length> bytes with -l (fewer are a
 * temporary failure, and nothing is delivered), all there is without. -n says
 * what would be done and does nothing. See dot-qmail(5).
 * -M: no dot-qmail file is looked for; the default delivery is what is done, and Maildirs are made.
 * -q: how much the Maildirs may hold, "bytesS,messagesC" or "bytes".
 * -w: a worker of pipit-lspawn; messages come over the socket on descriptor 0.
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
#include "priv.h"
#include "program.h"
#include "worker.h"

#define USAGE                                                                                      \
  "pipit-local [ -M ] [ -n | -N | -w ] [ -q quota ] [ -l length ] user homedir local dash ext "    \
  "domain sender defaultdelivery"
#define MEMORY_MAX  134217728 /* bytes of address space; programs get the limit that we had */
#define SECONDS_MAX 604800 /* after which a delivery that hangs is killed, if nobody did before */

struct options {
  int worker; /* -w */
  uint64_t length;
  struct perform how;
  char const *const *args;
};

static void usage(void) __attribute__((noreturn));
static void usage(void)
{
  strerr_dieusage(EXIT_PERMANENT, USAGE);
}

/* It comes from a table of users: a wrong one is local trouble. */
static void read_quota(struct quota *q, char const *text)
{
  if (quota_read(q, text, strlen(text))) return;
  strerr_dief(EXIT_TEMPORARY, "the quota \"", text,
              "\" is none: write bytes and messages as 10000000S,1000C. (#4.3.5)");
}

static void read_arguments(struct options *o, int argc, char const *const *argv)
{
  subgetopt l = SUBGETOPT_ZERO;
  for (int opt; (opt = subgetopt_r(argc, argv, "nNwMq:l:", &l)) != -1;) switch (opt) {
    case 'n': o->how.describe = 1; break;
    case 'N': o->how.describe = 0; break;
    case 'w': o->worker = 1; break;
    case 'M': o->how.mailbox = o->how.maildir.make = 1; break;
    case 'q': read_quota(&o->how.maildir.quota, l.arg); break;
    case 'l':
      if (!uint640_scan(l.arg, &o->length) || o->length == COPY_ALL) usage();
      break;
    default: usage();
    }
  argc -= l.ind;
  o->args = argv + l.ind;
  if (o->worker ? argc != WORKER_ARGS || o->how.describe : argc < DELIVERY_ARGS) usage();
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

int main(int argc, char const *const *argv)
{
  static struct options o = {.length = COPY_ALL};
  program_start("pipit-local");
  alarm(SECONDS_MAX);
  if (!argc) usage();
  read_arguments(&o, argc, argv);
  if (!getuid() || !geteuid())
    strerr_die(EXIT_TEMPORARY, "Not allowed to perform deliveries as root. (#4.3.0)");
  if (!priv_limit_memory(MEMORY_MAX))
    strerr_die(EXIT_TEMPORARY, "Unable to limit memory. (#4.3.0)");
  if (o.worker) worker_run(o.args, &o.how);
  deliver(&o);
  return 0;
}
