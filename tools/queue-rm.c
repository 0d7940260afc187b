/* queue-rm.c - remove mail from the queue
 *
 * usage: pipit-queue-rm [ -b ] all | ID | -d DOMAIN | -s SENDER | -i ID
 *
 * Asks nothing. -b: the senders get bounces.
 *
 * exit: 0 removed, also where nothing was found; 100 wrong usage or not permitted; 111 try later.
 */

#include <stdio.h>

#include "admin.h"
#include "ask.h"
#include "program.h"

#define USAGE "pipit-queue-rm [ -b ] all | ID | -d DOMAIN | -s SENDER | -i ID"

int queue_rm_main(int argc, char const *const *argv)
{
  struct selector sel;
  struct sendwire_answer a;
  char rest[64];
  char command = ask_arguments(&sel, argc, argv, 'b', 0, USAGE) ? SENDWIRE_BOUNCE : SENDWIRE_REMOVE;
  ask(command, &sel, &a, 0);
  snprintf(rest, sizeof rest, ": %llu recipient%s removed", (unsigned long long)a.rcpts,
           a.rcpts == 1 ? "" : "s");
  ask_print(a.messages, rest);
  return 0;
}
