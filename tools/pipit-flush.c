/* pipit-flush.c - try now what waits in the queue
 *
 * usage: pipit-flush all | ID | DOMAIN | -d DOMAIN | -s SENDER | -i ID
 *
 * Called as qmail-tcpok: all, without a word. Called as qmail-tcpto: nothing; which hosts time out
 * is in the log.
 *
 * exit: 0 done, also where nothing was found; 100 wrong usage or not permitted; 111 try later.
 */

#include <string.h>

#include "ask.h"
#include "program.h"

#define USAGE "pipit-flush all | ID | DOMAIN | -d DOMAIN | -s SENDER | -i ID"

/* As qmail-tcpok, which makes qmail-remote forget what hosts have timed out. */
static int tcpok(void)
{
  struct selector sel;
  struct sendwire_answer a;
  ask_arguments(&sel, 2, (char const *const[]){ "qmail-tcpok", "all", 0 }, 0, 1, "qmail-tcpok");
  ask(SENDWIRE_TRY, &sel, &a, 0);
  return 0;
}

int main(int argc, char const *const *argv)
{
  struct selector sel;
  struct sendwire_answer a;
  program_start("pipit-flush");
  if (!strcmp(program_called(argv[0]), "qmail-tcpok")) return tcpok();
  if (!strcmp(program_called(argv[0]), "qmail-tcpto")) return 0;
  ask_arguments(&sel, argc, argv, 0, 1, USAGE);
  ask(SENDWIRE_TRY, &sel, &a, 0);
  ask_print(a.messages, " made due");
  return 0;
}
