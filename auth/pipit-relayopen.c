/* pipit-relayopen.c - say that a client has just logged in
 *
 * usage: pipit-relayopen [ -i address ] [ program arg... ]
 *        pipit-authok program arg...
 *
 * pipit-relayopen tells pipit-authd that the client's address ($TCPREMOTEIP, or what -i says) may
 * relay for control/relayopentime seconds, and executes the program, also where that did not
 * work: who reads mail is not to suffer from it. It stands behind the checker in a
 * checkpassword chain, or in Dovecot's script after a login.
 *
 * pipit-authok tells the pipit-authd that runs the chain, on descriptor 4, that the login was right.
 * Both are names of pipit-authd.
 *
 * exit: that of the program; without one 0 done, 111 not done; 100 wrong usage, or no address.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>

#include "authwire.h"
#include "home.h"
#include "pipit-relayopen.h"
#include "program.h"

#define USAGE        "pipit-relayopen [ -i address ] [ program arg... ]"
#define USAGE_AUTHOK "pipit-authok program arg..."
#define MARK_FD      4
#define ANSWER_MS    3000

static int ask(struct sockaddr_un const *sa, struct authwire_open const *q)
{
  char answer[64];
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  struct pollfd x = { .fd = fd, .events = POLLIN };
  if (fd == -1 || connect(fd, (struct sockaddr const *)sa, sizeof *sa) == -1 ||
      send(fd, q, sizeof *q, MSG_NOSIGNAL) != sizeof *q)
    return 0;
  int r = poll(&x, 1, ANSWER_MS);
  if (r == 0) errno = ETIMEDOUT;
  if (r != 1) return 0;
  ssize_t n = recv(fd, answer, sizeof answer, 0);
  close(fd);
  if (n > 0 && *answer == AUTHWIRE_OK) return 1;
  return (errno = n > 0 ? EPERM : EPIPE, 0);
}

static int is_address(char const *ip)
{
  struct in6_addr a;
  return inet_pton(AF_INET6, ip, &a) == 1 || inet_pton(AF_INET, ip, &a) == 1;
}

static char const *reason(void)
{
  return errno == ENOENT  ? "set control/relayopentime, then restart the service authd"
         : errno == EPERM ? "pipit-authd refuses; see control/relayopenusers and control/relayopentime"
                          : strerror(errno);
}

/* The exit code. */
static int open_relay(char const *ip)
{
  struct sockaddr_un sa;
  struct authwire_open q = { "" };
  if (!ip || !*ip) {
    strerr_warnw("no address: TCPREMOTEIP is not set");
    return EXIT_TEMPORARY;
  }
  int good = is_address(ip);
  snprintf(q.ip, sizeof q.ip, "%s", ip);
  if (good && home_socket(&sa, AUTHWIRE_OPEN_SOCKET) && ask(&sa, &q)) return 0;
  strerr_warnw("unable to open the relay for ", ip, ": ", good ? reason() : "that is no address");
  return good ? EXIT_TEMPORARY : EXIT_PERMANENT;
}

static void execute(char const *const *argv) __attribute__((noreturn));
static void execute(char const *const *argv)
{
  execvp(argv[0], (char **)argv);
  strerr_diefusys(EXIT_TEMPORARY, "execute ", argv[0]);
}

int relayopen_main(int argc, char const *const *argv)
{
  subgetopt g = SUBGETOPT_ZERO;
  char const *ip = getenv("TCPREMOTEIP");
  for (int opt; (opt = subgetopt_r(argc, argv, "i:", &g)) != -1;) {
    if (opt != 'i') strerr_dieusage(EXIT_PERMANENT, USAGE);
    ip = g.arg;
  }
  argv += g.ind;
  int code = open_relay(ip);
  if (*argv) execute(argv);
  return code;
}

int authok_main(int argc, char const *const *argv)
{
  subgetopt g = SUBGETOPT_ZERO;
  if (subgetopt_r(argc, argv, "", &g) != -1 || g.ind == argc)
    strerr_dieusage(EXIT_PERMANENT, USAGE_AUTHOK);
  if (fd_write(MARK_FD, "K", 1) != 1) strerr_diefusys(EXIT_TEMPORARY, "write to descriptor 4");
  close(MARK_FD);
  execute(argv + g.ind);
}
