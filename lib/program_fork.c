/* program_fork.c - a process like this one, and no more; see program.h */

#include <unistd.h>

#include "program.h"

pid_t program_fork(void)
{
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 34)
  return _Fork();
#endif
#endif
  return fork();
}
