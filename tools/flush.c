/* flush.c - try now what waits in the queue
 *
 * usage: pipit-flush all | ID | DOMAIN | -d DOMAIN | -s SENDER | -i ID
 *
 * Called as qmail-tcpok: all, without a word. Called as qmail-tcpto: nothing; which hosts time out
 * is in the log.
 *
 * exit: 0 done, also where nothing was found; 100 wrong usage or not permitted; 111 try later.
 */

#include <skalibs/strerr.h>

#include "admin.h"
#include "ask.h"

#define USAGE "pipit-flush all | ID | DOMAIN | -d DOMAIN | -s SENDER | -i ID"

int flush_main(int argc, char const *const *argv)
{
  struct selector sel;
  struct sendwire_answer a;
  ask_arguments(&sel, argc, argv, 0, 1, USAGE);
  ask(SENDWIRE_TRY, &sel, &a, 0);
  ask_print(a.messages, " made due");
  return 0;
}

/* As qmail-tcpok, which makes qmail-remote forget what hosts have timed out. */
int tcpok_main(int argc, char const *const *argv)
{
  struct selector sel;
  struct sendwire_answer a;
  (void)argc;
  (void)argv;
  ask_arguments(&sel, 2, (char const *const[]){ PROG, "all", 0 }, 0, 1, PROG);
  ask(SENDWIRE_TRY, &sel, &a, 0);
  return 0;
}

int tcpto_main(int argc, char const *const *argv)
{
  (void)argc;
  (void)argv;
  return 0;
}
