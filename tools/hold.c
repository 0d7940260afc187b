/* hold.c - hold mail: it is taken in, and not tried until it is released
 *
 * usage: pipit-hold all | -d DOMAIN | -s SENDER | -i ID
 *        pipit-hold -l
 *
 * exit: 0 it is held, and stays so over restarts (-l: what is held was printed); 100 wrong usage or
 * not permitted; 111 try later.
 */

#include <stdio.h>

#include <skalibs/strerr.h>

#include "admin.h"
#include "ask.h"
#include "program.h"

#define USAGE "pipit-hold -l | all | -d DOMAIN | -s SENDER | -i ID"

static void print_held(struct selector const *sel)
{
  puts(ask_words(sel));
}

int hold_main(int argc, char const *const *argv)
{
  struct selector sel;
  struct sendwire_answer a;
  if (ask_arguments(&sel, argc, argv, ASK_LIST, 0, USAGE)) {
    ask(SENDWIRE_LIST, 0, &a, print_held);
  } else {
    ask(SENDWIRE_HOLD, &sel, &a, 0);
    printf("%s %s\n", ask_words(&sel), a.changed ? "is held" : "was held already");
  }
  if (fflush(stdout) == EOF) strerr_diefusys(EXIT_TEMPORARY, "write to standard output");
  return 0;
}
