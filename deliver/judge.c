/* judge.c - bouncesaying, except: let a program decide whether the message bounces
 *
 * usage: bouncesaying text [program [argument...]]
 *        except program [argument...]
 *
 * bouncesaying bounces with <text> when the program exits 0, or when there is
 * none; except bounces when the program exits 0.
 *
 * exit: 0 go on with the next line, 100 bounce, 111 try later: the program says so, or
 * cannot be run.
 */

#include <skalibs/strerr.h>

#include "helper.h"
#include "program.h"

/* Did the program say yes? */
static int says_yes(char const *const *argv)
{
  int code = child_run(argv);
  if (code == EXIT_TEMPORARY) strerr_dief(EXIT_TEMPORARY, "temporary error in ", argv[0]);
  return !code;
}

int bouncesaying_main(int argc, char const *const *argv)
{
  if (argc < 2) strerr_dieusage(EXIT_PERMANENT, "bouncesaying text [program [argument...]]");
  if (argc > 2 && !says_yes(argv + 2)) return 0;
  strerr_die(EXIT_PERMANENT, argv[1]);
}

int except_main(int argc, char const *const *argv)
{
  if (argc < 2) strerr_dieusage(EXIT_PERMANENT, "except program [argument...]");
  return says_yes(argv + 1) ? EXIT_PERMANENT : 0;
}
