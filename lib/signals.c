/* signals.c - signals that skalibs' selfpipe has caught; see signals.h */

#include <skalibs/selfpipe.h>
#include <skalibs/strerr.h>

#include "program.h"
#include "signals.h"

int signals_next(void)
{
  int sig = selfpipe_read();
  if (sig == -1) strerr_diefusys(EXIT_TEMPORARY, "read signals");
  return sig;
}
