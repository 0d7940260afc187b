/* pipit-flush.c - try now what waits in the queue
 *
 * usage: pipit-flush all | ID | DOMAIN | -d DOMAIN | -s SENDER | -i ID
 *
 * exit: 0 done, also where nothing was found; 100 wrong usage or not permitted; 111 try later.
 */

#include "ask.h"
#include "program.h"

#define USAGE "pipit-flush all | ID | DOMAIN | -d DOMAIN | -s SENDER | -i ID"

int main(int argc, char const *const *argv)
{
  struct selector sel;
  struct sendwire_answer a;
  program_start("pipit-flush");
  ask_arguments(&sel, argc, argv, 0, 1, USAGE);
  ask(SENDWIRE_TRY, &sel, &a, 0);
  ask_print(a.messages, " made due");
  return 0;
}
