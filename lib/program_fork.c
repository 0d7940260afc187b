/* program_fork.c - a process like this one, and no more; see program.h */

#include <unistd.h>

#include "program.h"

#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 34)
#define fork _Fork
#endif
#endif

pid_t program_fork(void)
{
  return fork();
}
