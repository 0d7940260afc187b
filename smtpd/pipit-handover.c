/* pipit-handover.c - give the client to a listener that is there already, else start a program
 *
 * usage: pipit-handover socket program [ argument... ]
 *
 * Stands before pipit-smtpd under tcpserver and its like: the client on
 * descriptors 0 and 1 goes to the pipit-smtpd -l -s that listens on <socket>
 * (handover.h), and this process waits until the session is over. Where that
 * cannot be for whatever reason, it becomes <program>, searched on PATH, which
 * serves the client.
 *
 * It has no libc and no data to write, because to load and start one costs more
 * than the session (rawcall.h); so nothing of a library may be called here.
 *
 * exit: 0 the session is over, 100 wrong usage, 111 <program> cannot be executed.
 */

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "handover.h"
#include "rawcall.h"

#define USAGE          "pipit-handover: usage: pipit-handover socket program [ argument... ]\n"
#define EXIT_PERMANENT 100
#define EXIT_TEMPORARY 111
#define PATH_DEFAULT   "/bin:/usr/bin"
#define FILE_MAX       4096 /* bytes of a program's path, with its NUL */

#define address(p) ((long)(p))

/* --- strings --- */

static size_t length(char const *s)
{
  size_t n = 0;
  while (s[n]) n++;
  return n;
}

static void copy(char *to, char const *from, size_t len)
{
  for (size_t i = 0; i < len; i++) to[i] = from[i];
}

/* The value of the variable <name>, or NULL. */
static char const *variable(char *const *envp, char const *name)
{
  for (; *envp; envp++) {
    size_t i = 0;
    while (name[i] && (*envp)[i] == name[i]) i++;
    if (!name[i] && (*envp)[i] == '=') return *envp + i + 1;
  }
  return 0;
}

/* --- handing over --- */

/* The listener's sessions cannot execute programs, and get no descriptors for UCSPI-TLS. */
static int needs_program(char *const *envp)
{
  char const *queue = variable(envp, "QMAILQUEUE");
  char const *check = variable(envp, "RCPTCHECK");
  return (queue && *queue) || (check && *check) || variable(envp, "ERROR_FD") ||
         variable(envp, "SSLCTLFD");
}

/* A socket that is connected to the listener, or -1. It is not waited for one that is
 * busy; and a socket that became 0, 1 or 2 says that there is no client there. */
static int reach(char const *path)
{
  struct sockaddr_un sa;
  size_t len = length(path) + 1;
  if (len > sizeof sa.sun_path) return -1;
  sa.sun_family = AF_UNIX;
  copy(sa.sun_path, path, len);
  long fd = rawcall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd <= 2) return -1;
  len += offsetof(struct sockaddr_un, sun_path);
  return rawcall(SYS_connect, fd, address(&sa), (long)len) ? -1 : (int)fd;
}

/* Collect the strings of the environment. Their number, or -1 when they are too many. */
static long collect(struct iovec v[HANDOVER_STRINGS_MAX], char *const *envp)
{
  size_t room = HANDOVER_BYTES_MAX;
  long n = 0;
  for (; envp[n]; n++) {
    size_t len = length(envp[n]) + 1;
    if (n == HANDOVER_STRINGS_MAX || len > room) return -1;
    room -= len;
    v[n].iov_base = envp[n];
    v[n].iov_len = len;
  }
  return n;
}

static int send_client(int sock, char *const *envp)
{
  struct iovec v[HANDOVER_STRINGS_MAX];
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(2 * sizeof(int))];
  } control;
  long n = collect(v, envp);
  if (n == -1) return 0;
  control.head.cmsg_level = SOL_SOCKET;
  control.head.cmsg_type = SCM_RIGHTS;
  control.head.cmsg_len = CMSG_LEN(2 * sizeof(int));
  int *fds = (int *)(void *)CMSG_DATA(&control.head);
  fds[0] = 0;
  fds[1] = 1;
  struct msghdr m;
  m.msg_name = 0;
  m.msg_namelen = 0;
  m.msg_iov = v;
  m.msg_iovlen = (size_t)n;
  m.msg_control = &control;
  m.msg_controllen = sizeof control;
  m.msg_flags = 0;
  return rawcall(SYS_sendmsg, sock, address(&m), MSG_NOSIGNAL) >= 0;
}

/* Wait for the end: 1 the session is over, 0 nobody has begun one. */
static int await(int sock)
{
  char byte;
  long r;
  rawcall(SYS_fcntl, sock, F_SETFL, 0);
  do r = rawcall(SYS_read, sock, address(&byte), 1);
  while (r == -EINTR);
  return r != 1 && r != -ECONNRESET;
}

/* 1 when the client was served, 0 when it still has to be. */
static int hand_over(char const *path, char *const *envp)
{
  if (needs_program(envp)) return 0;
  int sock = reach(path);
  return sock != -1 && send_client(sock, envp) && await(sock);
}

/* --- the program --- */

/* Execute <name> in each directory of PATH, as execvp does, until there is one that can
 * be; returns otherwise. */
static void search(char *const *argv, char *const *envp)
{
  char file[FILE_MAX];
  char const *path = variable(envp, "PATH");
  size_t namelen = length(argv[0]) + 1;
  if (!path) path = PATH_DEFAULT;
  for (;; path++) {
    size_t len = 0;
    while (path[len] && path[len] != ':') len++;
    if (len + 1 + namelen <= sizeof file) {
      copy(file, path, len);
      if (len) file[len] = '/'; /* an empty one is the current directory */
      copy(file + len + !!len, argv[0], namelen);
      rawcall(SYS_execve, address(file), address(argv), address(envp));
    }
    path += len;
    if (!*path) return;
  }
}

static void execute(char *const *argv, char *const *envp)
{
  char const *s = argv[0];
  while (*s && *s != '/') s++;
  if (*s) rawcall(SYS_execve, address(argv[0]), address(argv), address(envp));
  else if (*argv[0]) search(argv, envp);
}

static void say(char const *a, char const *b, char const *c)
{
  struct iovec v[3];
  char const *s[] = { a, b, c };
  for (int i = 0; i < 3; i++) {
    v[i].iov_base = (char *)s[i];
    v[i].iov_len = length(s[i]);
  }
  rawcall(SYS_writev, 2, address(v), 3);
}

static int raw_main(char *const *argv, char *const *envp)
{
  if (!argv[0] || !argv[1] || !argv[2]) {
    say(USAGE, "", "");
    return EXIT_PERMANENT;
  }
  if (hand_over(argv[1], envp)) return 0;
  execute(argv + 2, envp);
  say("pipit-handover: fatal: unable to execute ", argv[2], "\n");
  return EXIT_TEMPORARY;
}
