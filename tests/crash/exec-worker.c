/* exec-worker.c - in the place of local/worker.c, for a pipit-lspawn whose workers are whatever program
 * lies in the bin/ of the instance: what would it do with a worker that is out of its mind?
 */

#include <unistd.h>

#include "home.h"
#include "../../local/delivery.h"
#include "../../local/worker.h"

#define CANNOT_RUN 120

void worker_run(char const *const *args, struct worker_mailbox const *m)
{
  char const *argv[WORKER_ARGS + 4] = { home_program("pipit-local"), "-w", m ? "-M" : "--" };
  if (dup2(WORKER_SOCKET, 0) == -1 || !home_enter()) _exit(CANNOT_RUN);
  for (size_t i = 0; i < WORKER_ARGS; i++) argv[3 + i] = args[i];
  execv(argv[0], (char *const *)argv);
  _exit(CANNOT_RUN);
}
