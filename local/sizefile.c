/* sizefile.c - the file maildirsize as text; see sizefile.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>

#include "fileat.h"
#include "sizefile.h"

#define TMP_BYTES 96
#define LINE_FMT  64

/* A number at *s, perhaps negative, after blanks. 1, or 0. */
static int read_number(char const **s, char const *end, int64_t *n)
{
  while (*s < end && **s == ' ') (*s)++;
  int minus = *s < end && **s == '-';
  *s += minus;
  char const *start = *s;
  for (*n = 0; *s < end && **s >= '0' && **s <= '9'; (*s)++)
    if (__builtin_mul_overflow(*n, 10, n) || __builtin_add_overflow(*n, **s - '0', n)) return 0;
  if (minus) *n = -*n;
  return *s > start;
}

static int add_line(struct sizefile *t, char const *s, char const *end)
{
  int64_t size, count;
  t->lines++;
  return read_number(&s, end, &size) && read_number(&s, end, &count) &&
         !__builtin_add_overflow(t->size, size, &t->size) &&
         !__builtin_add_overflow(t->count, count, &t->count);
}

int sizefile_parse(struct sizefile *t, char const *s, size_t len)
{
  char const *newline = memchr(s, '\n', len);
  *t = (struct sizefile){.lines = 0};
  if (!newline || !quota_read(&t->quota, s, (size_t)(newline - s))) return 0;
  for (char const *end = s + len; ++newline < end;) {
    s = newline;
    newline = memchr(s, '\n', (size_t)(end - s));
    if (!newline || !add_line(t, s, newline)) return 0;
  }
  return t->lines && t->size >= 0 && t->count >= 0;
}

int sizefile_read(int base, int *fd, struct sizefile *t)
{
  struct stat st;
  char text[SIZEFILE_MAX + 1];
  *fd = openat(base, SIZEFILE_NAME,
               O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (*fd == -1) {
    *t = (struct sizefile){.lines = 0};
    return errno == ENOENT ? 0 : -1;
  }
  if (fstat(*fd, &st) == -1) return -1;
  if (!S_ISREG(st.st_mode)) return (errno = EINVAL, -1);
  ssize_t n = fileat_read(*fd, text, sizeof text, 0);
  if (n == -1) return -1;
  int known = sizefile_parse(t, text, (size_t)n);
  t->changed = st.st_mtime;
  return known && n <= SIZEFILE_MAX;
}

int sizefile_append(int fd, int64_t size, int count)
{
  char line[LINE_FMT];
  int n = snprintf(line, sizeof line, "%lld %d\n", (long long)size, count);
  return fd_write(fd, line, (size_t)n) == n;
}

static int write_new(int tmp, char const *name, struct sizefile const *t)
{
  char text[QUOTA_FMT + LINE_FMT];
  size_t n = quota_write(&t->quota, text);
  n += (size_t)snprintf(text + n, sizeof text - n, "\n%lld %lld\n", (long long)t->size,
                        (long long)t->count);
  int fd = openat(tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd == -1) return 0;
  int ok = allwrite(fd, text, n) == n;
  if (close(fd) == -1) ok = 0;
  return ok;
}

int sizefile_replace(int base, struct sizefile const *t)
{
  char name[TMP_BYTES];
  struct timespec now;
  int tmp = openat(base, "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (tmp == -1) return 0;
  clock_gettime(CLOCK_REALTIME, &now);
  snprintf(name, sizeof name, "%lld.M%ldP%ld." SIZEFILE_NAME, (long long)now.tv_sec,
           now.tv_nsec / 1000, (long)getpid());
  int ok = write_new(tmp, name, t) && renameat(tmp, name, base, SIZEFILE_NAME) == 0;
  int e = errno;
  if (!ok) unlinkat(tmp, name, 0);
  close(tmp);
  errno = e;
  return ok;
}
