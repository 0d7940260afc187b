/* local-worker.c - a worker of pipit-lspawn by itself, with a socket on descriptor 0
 *
 * usage: local-worker [quota] user homedir local dash ext domain defaultdelivery
 *
 * With a quota, be it empty, it is for a mailbox.
 */

#include <fcntl.h>
#include <unistd.h>

#include "../../local/delivery.h"
#include "../../local/worker.h"
#include "program.h"

int main(int argc, char const *const *argv)
{
  int mailbox = argc == 2 + WORKER_ARGS;
  struct worker_mailbox const m = { .quota = argv[1] };
  if (argc != 1 + WORKER_ARGS && !mailbox) return 100;
  program_start("local-worker");
  if (dup3(0, WORKER_SOCKET, O_CLOEXEC) == -1 || close(0) == -1 || !program_plug(0)) return 111;
  worker_run(argv + 1 + mailbox, mailbox ? &m : 0);
}
