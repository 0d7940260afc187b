/* home.c - find and open the instance's home; see home.h */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf.h"
#include "home.h"

static char found[PATH_MAX];
static int fd = -1;

/* Cut the last component off <path>. 1, or 0 when there is none left to cut. */
static int cut_last(char *path)
{
  char *slash = strrchr(path, '/');
  if (!slash || slash == path) return 0;
  *slash = 0;
  return 1;
}

/* Set <dir> to the directory that the running program lies in. */
static int program_dir(char dir[PATH_MAX])
{
  ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);
  if (n <= 0 || n >= PATH_MAX - 1) return 0;
  dir[n] = 0;
  return cut_last(dir);
}

/* Set <found> from the place of the running program. 1 if that is an instance. */
static int from_program(void)
{
  char me[PATH_MAX + sizeof "/control/me"];
  if (!program_dir(found)) return 0;
  char const *dir = strrchr(found, '/');
  if (!dir || strcmp(dir, "/bin") || !cut_last(found)) return 0;
  snprintf(me, sizeof me, "%s/control/me", found);
  return faccessat(AT_FDCWD, me, F_OK, AT_EACCESS) == 0;
}

char const *home_dir(void)
{
  static char const *dir;
  if (dir) return dir;
  dir = getenv("PIPIT_HOME");
  if (dir && *dir) return dir;
  return dir = from_program() ? found : CONF_HOME;
}

int home_fd(void)
{
  if (fd == -1) fd = open(home_dir(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd;
}

void home_close(void)
{
  if (fd != -1) close(fd);
  fd = -1;
}

int home_enter(void)
{
  return chdir(home_dir()) == 0;
}

char const *home_program(char const *name)
{
  static char path[PATH_MAX];
  char dir[PATH_MAX];
  if (program_dir(dir) && (size_t)snprintf(path, sizeof path, "%s/%s", dir, name) < sizeof path &&
      faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0)
    return path;
  snprintf(path, sizeof path, "%s/bin/%s", home_dir(), name);
  return path;
}

int home_socket(struct sockaddr_un *sa, char const *name)
{
  memset(sa, 0, sizeof *sa);
  sa->sun_family = AF_UNIX;
  int n = snprintf(sa->sun_path, sizeof sa->sun_path, "%s/%s", home_dir(), name);
  if (n > 0 && (size_t)n < sizeof sa->sun_path) return 1;
  if (home_fd() == -1) return 0;
  n = snprintf(sa->sun_path, sizeof sa->sun_path, "/proc/self/fd/%d/%s", home_fd(), name);
  return n > 0 && (size_t)n < sizeof sa->sun_path ? 1 : (errno = ENAMETOOLONG, 0);
}
