/* loader.c - open key files, and pass them on; see loader.h */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fdpass.h"
#include "filestamp.h"
#include "home.h"
#include "loader.h"
#include "sandbox.h"

#define ASK_CHANGED 'c'
#define ASK_ALL     'a'
#define UNCHANGED   "="
#define FULLCHAIN   "fullchain.pem"
#define PRIVKEY     "privkey.pem"

/* --- rights --- */

/* Keep of all capabilities only the one to read files, or, in a container that has not
 * got it, the one that is more; writing is given up separately. */
static int keep_reading(void)
{
  struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct caps[2];
  if (syscall(SYS_capget, &head, caps) == -1) return 0;
  unsigned int has = caps[0].permitted;
  memset(caps, 0, sizeof caps);
  caps[0].permitted = has & (1u << CAP_DAC_READ_SEARCH);
  if (!caps[0].permitted) caps[0].permitted = has & (1u << CAP_DAC_OVERRIDE);
  caps[0].effective = caps[0].permitted;
  return syscall(SYS_capset, &head, caps) == 0;
}

static int drop(struct accounts const *a)
{
  static char const *const everything[] = { "/", 0 };
  int root = !geteuid();
  if (root && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1) return 0;
  if (!accounts_become(a, ACCOUNT_TLSSERVER) || (root && !keep_reading())) return 0;
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && sandbox_no_exec() != -1 &&
         sandbox_read_only(everything) != -1;
}

/* Nothing of the parent's stays open but the log and the home: among the rest is what it
 * says on that it is ready, and a reader of that may wait for its end. */
static int close_others(int sock)
{
  int home = home_fd();
  if (home < 3 || dup2(sock, 0) == -1) return 0;
  if (home > 3) close_range(3, (unsigned int)home - 1, 0);
  closefrom(home + 1);
  return 1;
}

/* --- finding files --- */

typedef void found(void *arg, char const *name, char const *chain, char const *key);

/* 1, also where it is a link to nowhere; or 0 with errno. */
static int is_there(char const *path)
{
  struct stat st;
  return fstatat(home_fd(), path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* One entry of control/certs: NAME.pem, or a directory with certbot's two files, of which it is told
 * where they cannot be reached. Any other file is none of ours. */
static void look_at(char const *entry, found *f, void *arg)
{
  char name[NAME_MAX + 1], chain[sizeof(struct loader_file)], key[sizeof chain];
  size_t len = strlen(entry);
  if (entry[0] == '.' || len >= sizeof name) return;
  memcpy(name, entry, len + 1);
  if (len > 4 && !strcmp(entry + len - 4, ".pem")) {
    name[len - 4] = 0;
    snprintf(chain, sizeof chain, "%s/%s", LOADER_CERTS, entry);
    f(arg, name, chain, 0);
    return;
  }
  snprintf(chain, sizeof chain, "%s/%s/%s", LOADER_CERTS, entry, FULLCHAIN);
  snprintf(key, sizeof key, "%s/%s/%s", LOADER_CERTS, entry, PRIVKEY);
  if (is_there(chain) || errno != ENOTDIR) f(arg, name, chain, key);
}

static void look_around(found *f, void *arg)
{
  int fd = openat(home_fd(), LOADER_CERTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd == -1 ? 0 : fdopendir(fd);
  if (is_there(LOADER_SERVERCERT)) f(arg, "", LOADER_SERVERCERT, 0);
  if (!d) {
    if (fd != -1) close(fd);
    return;
  }
  for (struct dirent *e; (e = readdir(d));) look_at(e->d_name, f, arg);
  closedir(d);
}

static void stamp(void *arg, char const *name, char const *chain, char const *key)
{
  uint64_t *sum = arg;
  (void)name;
  *sum = filestamp_add(*sum, home_fd(), chain);
  if (key) *sum = filestamp_add(*sum, home_fd(), key);
}

static uint64_t stamp_all(void)
{
  uint64_t sum = filestamp_add(FILESTAMP_START, home_fd(), LOADER_CERTS);
  look_around(stamp, &sum);
  return sum;
}

/* --- passing them on --- */

static void tell(int sock, void const *s, size_t len, int const *fds, size_t nfds)
{
  struct iovec v = { (void *)s, len };
  struct pollfd x = { .fd = sock, .events = POLLOUT };
  int r;
  while (!(r = fdpass_send(sock, &v, 1, fds, nfds)))
    if (poll(&x, 1, -1) == -1 && errno != EINTR) break;
  if (r != 1) _exit(0);
}

/* A regular file, or -1 with errno: a FIFO would never end. */
static int open_file(char const *path)
{
  struct stat st;
  int fd = openat(home_fd(), path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd == -1 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))) return fd;
  close(fd);
  return (errno = EINVAL, -1);
}

/* No fault of the file: it is to be tried again. */
static int try_again;

static int is_passing(int e)
{
  return e == ENFILE || e == EMFILE || e == ENOMEM || e == EINTR;
}

static void pass(void *arg, char const *name, char const *chain, char const *key)
{
  struct loader_file f = { 0 };
  int fds[2] = { open_file(chain), -1 };
  char const *path = chain;
  if (fds[0] != -1 && key) {
    path = key;
    fds[1] = open_file(key);
  }
  int whole = fds[0] != -1 && (!key || fds[1] != -1);
  f.error = whole ? 0 : errno;
  if (is_passing(f.error)) try_again = 1;
  snprintf(f.name, sizeof f.name, "%s", name);
  snprintf(f.path, sizeof f.path, "%.*s", (int)sizeof f.path - 1, whole ? chain : path);
  tell(*(int *)arg, &f, sizeof f, fds, whole ? 2 : 0);
  for (int i = 0; i < 2; i++)
    if (fds[i] != -1) close(fds[i]);
}

static void serve(int sock)
{
  uint64_t last = 0;
  char ask;
  while (recv(sock, &ask, 1, 0) == 1) {
    uint64_t now = stamp_all();
    if (ask == ASK_CHANGED && now == last) {
      tell(sock, UNCHANGED, 1, 0, 0);
      continue;
    }
    try_again = 0;
    tell(sock, &ask, 1, 0, 0);
    look_around(pass, &sock);
    last = try_again ? 0 : now;
    tell(sock, UNCHANGED, 1, 0, 0);
  }
}

/* --- the other side --- */

int loader_start(struct loader *l, struct accounts const *a)
{
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1) return 0;
  l->pid = fork();
  if (!l->pid) {
    if (!close_others(ends[1]) || !drop(a)) _exit(1);
    serve(0);
    _exit(0);
  }
  close(ends[1]);
  l->fd = ends[0];
  if (l->pid != -1) return 1;
  close(l->fd);
  return 0;
}

int loader_ask(struct loader const *l, int always)
{
  char c = always ? ASK_ALL : ASK_CHANGED;
  if (send(l->fd, &c, 1, MSG_NOSIGNAL) != 1 || recv(l->fd, &c, 1, 0) != 1) return -1;
  return c != UNCHANGED[0];
}

int loader_next(struct loader const *l, struct loader_file *f, int fd[2])
{
  ssize_t n = fdpass_recv(l->fd, (char *)f, sizeof *f, 0, fd, 2);
  if (n == sizeof *f) return 1;
  return n == 1 ? 0 : -1;
}
