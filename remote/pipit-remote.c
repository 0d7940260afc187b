/* pipit-remote.c - deliver mail by SMTP or LMTP
 *
 * usage: pipit-remote host sender recipient...
 *        pipit-remote -w
 *        pipit-remote -e host [sender]
 *
 * The first form is qmail-remote's: the message on descriptor 0, on descriptor 1
 * for each recipient r (accepted), h (refused) or s (refused for now), then K
 * (the message was accepted), Z (not now) or D (never), each with a text and a
 * NUL. The second is a worker of pipit-rspawn: jobs come in on descriptor 0, a
 * socket (lib/job.h), and the connection is kept from one to the next. The third prints where mail
 * would go, and why.
 * Called as pipit-lmtp or pipit-rspawn it is that program: pipit-lmtp.c, send/pipit-rspawn.c.
 *
 * exit: 0 the report is complete (first form; also when it says D), or
 * descriptor 0 has ended (second); 111 temporary trouble.
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/strerr.h>
#include <skalibs/tai.h>

#include "accounts.h"
#include "cli.h"
#include "confine.h"
#include "explain.h"
#include "pipit-lmtp.h"
#include "program.h"
#include "spool.h"
#include "worker.h"
#include "../send/pipit-rspawn.h"

#define TEXT_ROOM 4096

static int run_worker(void)
{
  char const *failed = confine();
  if (failed) strerr_diefu1sys(EXIT_TEMPORARY, failed);
  return worker_run(0);
}

/* Nothing foreign is read, and nothing is sent, as root. */
static char const *drop_root(void)
{
  struct accounts a;
  if (geteuid()) return 0;
  return accounts_load(&a) && accounts_become(&a, ACCOUNT_REMOTE) ? 0 : accounts_why();
}

static int run_command(int n, char const *const *args)
{
  char text[TEXT_ROOM];
  struct job j = { .fd = 0 };
  if (n < 3) return cli_report('D', "I (pipit-remote) was invoked improperly. (#5.3.5)\n");
  char const *failed = drop_root();
  if (!failed && !spool_whole(&j.fd, &j.offset, &j.length)) failed = "the message cannot be read";
  if (!failed) failed = confine();
  if (!failed) return cli_run(&j, n, args);
  snprintf(text, sizeof text, "Unable to start: %s. (#4.3.0)\n", failed);
  return cli_report('Z', text);
}

int main(int argc, char const *const *argv)
{
  char const *called = program_called(argv[0]);
  if (names_ours(called, "lmtp")) return lmtp_main(argc, argv);
  if (names_ours(called, "rspawn")) return rspawn_main(argc, argv);
  program_start("pipit-remote");
  tain_now_set_stopwatch_g();
  if (argc == 2 && !strcmp(argv[1], "-w")) return run_worker();
  if (argc > 2 && argc < 5 && !strcmp(argv[1], "-e")) return explain(argv[2], argv[3]);
  return run_command(argc - 1, argv + 1);
}
