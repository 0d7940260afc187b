/* maildircount.c - add up a Maildir; see maildircount.h */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maildircount.h"

struct sum {
  uint64_t size, count;
  struct timespec newest; /* change of a folder that was looked at */
  int again;              /* only look for newer changes */
};

/* Open the folder <name> in <dir>, which has to be one; NULL with errno, 0 when there is none. */
static DIR *open_folder(int dir, char const *name)
{
  int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *d = fd == -1 ? 0 : fdopendir(fd);
  if (!d && fd != -1) close(fd);
  if (!d && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) errno = 0;
  return d;
}

/* The size that stands in a name. 1, or 0: there is none. */
static int size_of_name(char const *name, uint64_t *size)
{
  char const *s = strstr(name, ",S=");
  if (!s) return 0;
  s += 3;
  size_t digits = strspn(s, "0123456789");
  if (!digits || digits > 18 || !strchr(":,", s[digits])) return 0;
  for (*size = 0; digits; digits--) *size = *size * 10 + (uint64_t)(*s++ - '0');
  return 1;
}

/* A message that is gone when it is looked at does not count. */
static void add_message(struct sum *s, int dir, char const *name)
{
  struct stat st;
  uint64_t size;
  if (!size_of_name(name, &size)) {
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1 || !S_ISREG(st.st_mode)) return;
    size = (uint64_t)st.st_size;
  }
  s->size += size;
  s->count++;
}

static int is_newer(struct timespec const *a, struct timespec const *b)
{
  return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* Add up new/ or cur/. 1, or 0 with errno. */
static int add_messages(struct sum *s, int folder, char const *name)
{
  struct stat st;
  struct dirent const *e;
  DIR *d = open_folder(folder, name);
  if (!d) return !errno;
  if (fstat(dirfd(d), &st) == 0 && is_newer(&st.st_mtim, &s->newest)) s->newest = st.st_mtim;
  errno = 0;
  while (!s->again && (e = readdir(d))) {
    if (e->d_name[0] != '.') add_message(s, dirfd(d), e->d_name);
    errno = 0;
  }
  int e2 = errno;
  closedir(d);
  errno = e2;
  return !errno;
}

static int add_folder(struct sum *s, int folder)
{
  return add_messages(s, folder, "new") && add_messages(s, folder, "cur");
}

static int add_subfolder(struct sum *s, int maildir, char const *name)
{
  int fd = openat(maildir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd == -1) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
  int ok = add_folder(s, fd);
  int e = errno;
  close(fd);
  errno = e;
  return ok;
}

static int is_subfolder(struct dirent const *e)
{
  return e->d_name[0] == '.' && strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
         strcmp(e->d_name, MAILDIRCOUNT_TRASH) && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN);
}

static int add_all(struct sum *s, int maildir)
{
  struct dirent const *e;
  DIR *d = open_folder(maildir, ".");
  if (!d) return 0;
  int ok = add_folder(s, maildir);
  while (ok && (errno = 0, e = readdir(d)))
    if (is_subfolder(e)) ok = add_subfolder(s, maildir, e->d_name);
  if (errno) ok = 0;
  int e2 = errno;
  closedir(d);
  errno = e2;
  return ok;
}

int maildircount(int maildir, uint64_t *size, uint64_t *count)
{
  struct sum s = {.again = 0};
  if (!add_all(&s, maildir)) return 0;
  *size = s.size;
  *count = s.count;
  struct sum later = {.newest = s.newest, .again = 1};
  if (!add_all(&later, maildir)) return 0;
  return is_newer(&later.newest, &s.newest) ? 2 : 1;
}
