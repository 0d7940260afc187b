/* signals.c - signals that skalibs' selfpipe has caught; see signals.h */

#include <signal.h>
#include <unistd.h>

#include <skalibs/selfpipe.h>
#include <skalibs/sig.h>
#include <skalibs/strerr.h>

#include "program.h"
#include "signals.h"

int signals_next(void)
{
  int sig = selfpipe_read();
  if (sig == -1) strerr_diefusys(EXIT_TEMPORARY, "read signals");
  return sig;
}

void signals_leave(int fd, int const *reset)
{
  for (; *reset; reset++) sig_restore(*reset);
  close(fd);
  sig_blocknone();
}
