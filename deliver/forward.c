/* forward.c - forward, condredirect: give the message back to the queue, for somebody else
 *
 * usage: forward address...
 *        condredirect address program [argument...]
 *
 * forward sends it on from NEWSENDER. condredirect runs the program, and when
 * that exits 0 sends it on from SENDER.
 *
 * exit: 0 forwarded (condredirect: the program says no), 99 redirected: the lines that
 * follow are ignored; 100 never, 111 try later.
 */

#include <skalibs/strerr.h>

#include "helper.h"
#include "program.h"

int forward_main(int argc, char const *const *argv)
{
  stralloc rcpts = STRALLOC_ZERO;
  if (argc < 2) strerr_dieusage(EXIT_PERMANENT, "forward address...");
  for (int i = 1; i < argc; i++) helper_add_string(&rcpts, argv[i]);
  queue_say(queue_forward(helper_env("NEWSENDER"), &rcpts));
  return 0;
}

int condredirect_main(int argc, char const *const *argv)
{
  stralloc rcpts = STRALLOC_ZERO;
  if (argc < 3) strerr_dieusage(EXIT_PERMANENT, "condredirect address program [argument...]");
  char const *sender = helper_env("SENDER");
  int code = child_run(argv + 2);
  if (code == EXIT_TEMPORARY) strerr_dief(EXIT_TEMPORARY, "temporary error in ", argv[2]);
  if (code) return 0;
  queue_rewind();
  helper_add_string(&rcpts, argv[1]);
  queue_say(queue_forward(sender, &rcpts));
  return HELPER_STOP;
}
