/* worker.c - deliver message after message to one address; see worker.h */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/strerr.h>

#include "job.h"
#include "perform.h"
#include "program.h"
#include "worker.h"

#define SENDER 6 /* its place among the arguments of a delivery */

/* Move the socket away from descriptor 0, where programs would find it. */
static int take_socket(void)
{
  int sock = fcntl(0, F_DUPFD_CLOEXEC, 3);
  close(0);
  if (sock == -1 || !program_plug(0))
    strerr_die(EXIT_TEMPORARY, "Unable to set up a worker: ", strerror(errno), ". (#4.3.0)");
  return sock;
}

/* 0 when the answer is the exit of this process. */
static int deliver(struct job const *j, char const *const *args, struct perform const *how,
                   int sock)
{
  char text[PERFORM_SUMMARY_MAX];
  char const *all[DELIVERY_ARGS];
  struct perform p = *how;
  memcpy(all, args, SENDER * sizeof *all);
  all[SENDER] = j->sender;
  memcpy(all + SENDER + 1, args + SENDER, (WORKER_ARGS - SENDER) * sizeof *all);
  perform_begin(&p, all);
  perform_deliver(&p, j->body, j->fd, j->length);
  if (j->fd != -1) close(j->fd);
  size_t len = perform_summary(&p, text);
  int plain = perform_was_plain(&p);
  perform_free(&p);
  if (plain) return job_send_result(sock, j->num, 0, 'K', text, len) == 1;
  allwrite(1, text, len);
  return 0;
}

void worker_run(char const *const *args, struct perform const *how)
{
  struct perform all = *how;
  static struct job_packet p;
  int r;
  int sock = take_socket();
  all.maildir.tidy = 1;
  for (; (r = job_wait(sock, &p)) == 1 && (p.type == 'J' || p.type == 'M'); all.maildir.tidy = 0)
    if (!deliver(&p.job, args, &all, sock)) _exit(0);
  if (r == -1 && errno == EPIPE) _exit(0);
  strerr_die(EXIT_TEMPORARY, "Unable to read a job. (#4.3.0)");
}
