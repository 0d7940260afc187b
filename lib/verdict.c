/* verdict.c - what the end of a program line's program means; see verdict.h */

#include <sys/wait.h>

#include "program.h"
#include "verdict.h"

int verdict(int wstat)
{
  if (!WIFEXITED(wstat)) return EXIT_TEMPORARY;
  switch (WEXITSTATUS(wstat)) {
  case 0: return 0;
  case 99: return VERDICT_STOP;
  case 100:
  case 64:
  case 65:
  case 70:
  case 76:
  case 77:
  case 78:
  case 112: return EXIT_PERMANENT;
  default: return EXIT_TEMPORARY;
  }
}
