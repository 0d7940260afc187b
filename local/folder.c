/* folder.c - make folders; see folder.h */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fileat.h"
#include "folder.h"

/* Make one folder, if it is missing; those above it are there. */
static int make_one(char const *path)
{
  struct stat st;
  if (stat(path, &st) == 0) return 1;
  if (errno != ENOENT) return 0;
  if (mkdir(path, 0700) == 0) return fileat_sync_above(path);
  return errno == EEXIST; /* somebody else was quicker */
}

int folder_make(char const *path)
{
  char *s = strdup(path);
  int ok = s != 0;
  for (size_t i = 1; ok && i <= strlen(path); i++) {
    if (path[i] && path[i] != '/') continue;
    s[i] = 0;
    ok = make_one(s);
    if (path[i]) s[i] = '/';
  }
  int e = errno;
  free(s);
  errno = e;
  return ok;
}

/* Is it .Name in another Maildir? */
static int is_subfolder(char const *path)
{
  struct stat st;
  char name[PATH_MAX];
  size_t len = strlen(path);
  while (len && path[len - 1] == '/') len--;
  char const *slash = memrchr(path, '/', len);
  char const *last = slash ? slash + 1 : path;
  if (*last != '.' || strspn(last, "./") == strlen(last)) return 0;
  int n = snprintf(name, sizeof name, "%.*scur", (int)(last - path), path);
  return n > 0 && (size_t)n < sizeof name && stat(name, &st) == 0 && S_ISDIR(st.st_mode);
}

int folder_make_maildir(char const *path)
{
  /* With new/ it is complete. */
  static char const *const parts[] = {"cur", "tmp", "new"};
  char name[PATH_MAX];
  if (strlen(path) >= sizeof name - sizeof "/maildirfolder") return (errno = ENAMETOOLONG, 0);
  if (!folder_make(path)) return 0;
  if (is_subfolder(path)) {
    snprintf(name, sizeof name, "%s/maildirfolder", path);
    int fd = open(name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd == -1) return 0;
    close(fd);
  }
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    snprintf(name, sizeof name, "%s/%s", path, parts[i]);
    if (!folder_make(name)) return 0;
  }
  return 1;
}
