/* helper.c - memory, environment, files; see helper.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>
#include <skalibs/strerr.h>

#include "helper.h"
#include "fileat.h"
#include "mboxfile.h"
#include "program.h"

void helper_nomem(void)
{
  strerr_dief(EXIT_TEMPORARY, "out of memory");
}

char const *helper_env(char const *name)
{
  char const *value = getenv(name);
  if (!value)
    strerr_dief(EXIT_PERMANENT, name, " is not set: this is for the lines of dot-qmail files");
  return value;
}

void helper_add(stralloc *sa, char const *s, size_t len)
{
  if (!stralloc_catb(sa, s, len)) helper_nomem();
}

void helper_add_string(stralloc *list, char const *s)
{
  helper_add(list, s, strlen(s) + 1);
}

int helper_slurp(char const *path, stralloc *sa, size_t max, unsigned int bits)
{
  struct stat st;
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd == -1 && errno == ENOENT) return 0;
  if (fd == -1 || fstat(fd, &st) == -1) strerr_diefusys(EXIT_TEMPORARY, "open ", path);
  if (!S_ISREG(st.st_mode)) strerr_dief(EXIT_TEMPORARY, path, " is no regular file");
  if ((st.st_mode & bits) != bits) strerr_dief(EXIT_TEMPORARY, path, " is not world-readable");
  if (st.st_size > (off_t)max) strerr_dief(EXIT_TEMPORARY, path, " is too large");
  if (!slurp(sa, fd)) strerr_diefusys(EXIT_TEMPORARY, "read ", path);
  close(fd);
  return 1;
}

/* The file <tmp>, empty, that nobody else writes meanwhile. */
static int open_tmp(char const *tmp)
{
  struct stat st;
  int fd = open(tmp, O_WRONLY | O_CREAT | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd == -1) strerr_diefusys(EXIT_TEMPORARY, "create ", tmp);
  if (!mboxfile_lock(fd)) strerr_diefusys(EXIT_TEMPORARY, "lock ", tmp);
  if (!mboxfile_is_same(fd, tmp, &st))
    strerr_dief(EXIT_TEMPORARY, tmp, " was renamed meanwhile: somebody else does the same");
  if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
    strerr_dief(EXIT_TEMPORARY, tmp, " is no regular file of its own: remove it");
  if (ftruncate(fd, 0) == -1) strerr_diefusys(EXIT_TEMPORARY, "empty ", tmp);
  return fd;
}

void helper_replace(char const *path, char const *tmp, stralloc const *text, unsigned int mode)
{
  int fd = open_tmp(tmp);
  if (allwrite(fd, text->s, text->len) < text->len || fchmod(fd, mode) == -1 || fsync(fd) == -1 ||
      close(fd) == -1)
    strerr_diefusys(EXIT_TEMPORARY, "write ", tmp);
  if (rename(tmp, path) == -1) strerr_diefusys(EXIT_TEMPORARY, "rename ", tmp, " to ", path);
  if (!fileat_sync_above(path)) strerr_diefusys(EXIT_TEMPORARY, "sync the folder of ", path);
}
