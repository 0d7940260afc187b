/* release.c - release what pipit-hold held, and try it now
 *
 * usage: pipit-release all | -d DOMAIN | -s SENDER | -i ID
 *
 * exit: 0 it is released, or was not held; 100 wrong usage or not permitted; 111 try later.
 */

#include <skalibs/strerr.h>

#include "admin.h"
#include "ask.h"
#include "program.h"

#define USAGE "pipit-release all | -d DOMAIN | -s SENDER | -i ID"

int release_main(int argc, char const *const *argv)
{
  struct selector sel;
  struct sendwire_answer a;
  ask_arguments(&sel, argc, argv, 0, 0, USAGE);
  ask(SENDWIRE_RELEASE, &sel, &a, 0);
  if (!a.changed) strerr_warnw(ask_words(&sel), " was not held");
  ask_print(a.messages, " made due");
  return 0;
}
