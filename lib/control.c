/* control.c - read control files; see control.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>
#include <skalibs/stralloc.h>

#include "control.h"
#include "home.h"

static char why[512];

/* A name with a slash is a path of its own. */
static int is_path(char const *name)
{
  return !!strchr(name, '/');
}

static int fail(char const *name, unsigned int line, char const *what)
{
  int e = errno;
  char const *home = is_path(name) ? "" : home_dir();
  char const *folder = is_path(name) ? "" : "/control/";
  if (line)
    snprintf(why, sizeof why, "%s%s%s: line %u: %s", home, folder, name, line, what);
  else
    snprintf(why, sizeof why, "%s%s%s: %s", home, folder, name, what);
  errno = e;
  return -1;
}

char const *control_why(void)
{
  return why;
}

int control_bad(char const *name, char const *what)
{
  errno = EINVAL;
  return fail(name, 1, what);
}

int control_bad_entry(char const *name, char const *what)
{
  errno = EINVAL;
  return fail(name, 0, what);
}

static int open_control(char const *name)
{
  char path[256];
  if (is_path(name)) return open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  int home = home_fd();
  if (home == -1) return -1;
  if ((size_t)snprintf(path, sizeof path, "control/%s", name) >= sizeof path)
    return (errno = ENAMETOOLONG, -1);
  return openat(home, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* Read all of <fd> (of <size> bytes by its own account) into <sa>. */
static int read_all(int fd, size_t size, stralloc *sa)
{
  for (;;) {
    if (!stralloc_readyplus(sa, size + 1)) return 0;
    ssize_t n = fd_read(fd, sa->s + sa->len, size + 1);
    if (n == -1) return 0;
    if (!n) return 1;
    sa->len += (size_t)n;
    if (sa->len > CONTROL_MAXSIZE) return (errno = EFBIG, 0);
  }
}

/* The whole file. 1, 0 if missing, -1 with errno and why. */
static int read_file(char const *name, stralloc *sa)
{
  struct stat st;
  int fd = open_control(name);
  if (fd == -1)
    return errno == ENOENT ? 0 : fail(name, 0, strerror(errno));
  if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
    fd_close(fd);
    errno = EINVAL;
    return fail(name, 0, "not a file; make it plain text");
  }
  size_t size = st.st_size > 0 && st.st_size < CONTROL_MAXSIZE ? (size_t)st.st_size : 4096;
  int ok = read_all(fd, size, sa);
  int e = errno;
  fd_close(fd);
  errno = e;
  if (!ok) return fail(name, 0, errno == EFBIG ? "too large; 16 MiB is the limit" : strerror(errno));
  return 1;
}

/* The length of the line at s[0..len), and without trailing blanks in <*trimmed>. */
static size_t line_length(char const *s, size_t len, size_t *trimmed)
{
  char const *nl = memchr(s, '\n', len);
  size_t n = nl ? (size_t)(nl - s) : len;
  size_t t = n;
  while (t && (s[t - 1] == ' ' || s[t - 1] == '\t' || s[t - 1] == '\r')) t--;
  *trimmed = t;
  return n;
}

int control_line(char const *name, stralloc *sa)
{
  stralloc file = STRALLOC_ZERO;
  size_t len = 0;
  int r = read_file(name, &file);
  if (r == 1) {
    line_length(file.s, file.len, &len);
    if (memchr(file.s, 0, len)) {
      errno = EINVAL;
      r = fail(name, 1, "holds a NUL byte; make it plain text");
    } else if (!stralloc_copyb(sa, file.s, len) || !stralloc_0(sa)) {
      r = fail(name, 0, strerror(errno));
    } else {
      sa->len--;
    }
  }
  stralloc_free(&file);
  return r;
}

int control_line_or_me(char const *name, stralloc *sa)
{
  int r = control_line(name, sa);
  if (r) return r;
  r = control_line("me", sa);
  if (r) return r;
  errno = ENOENT;
  return fail("me", 0, "missing; write this host's full name into it");
}

/* Append the entries of <file> to <out>. 0, or the number of the line that holds a NUL, or -1. */
static int split_list(stralloc const *file, stralloc *out)
{
  size_t pos = 0;
  for (int line = 1; pos < file->len; line++) {
    size_t len;
    size_t whole = line_length(file->s + pos, file->len - pos, &len);
    char const *s = file->s + pos;
    pos += whole + 1;
    if (!len || *s == '#') continue;
    if (memchr(s, 0, len)) return line;
    if (!stralloc_catb(out, s, len) || !stralloc_0(out)) return -1;
  }
  return 0;
}

int control_list(char const *name, stralloc *sa)
{
  stralloc file = STRALLOC_ZERO;
  stralloc out = STRALLOC_ZERO;
  int r = read_file(name, &file);
  if (r == 1) {
    int bad = split_list(&file, &out);
    if (bad > 0) {
      errno = EINVAL;
      r = fail(name, (unsigned int)bad, "holds a NUL byte; make it plain text");
    } else if (bad == -1 || !stralloc_copy(sa, &out)) {
      r = fail(name, 0, strerror(errno));
    }
  }
  stralloc_free(&file);
  stralloc_free(&out);
  return r;
}

int control_number(char const *name, unsigned long *value, unsigned long max)
{
  stralloc sa = STRALLOC_ZERO;
  unsigned long n = 0;
  int r = control_line(name, &sa);
  if (r == 1) {
    size_t i = 0;
    for (; i < sa.len && sa.s[i] >= '0' && sa.s[i] <= '9'; i++) {
      unsigned long digit = (unsigned long)(sa.s[i] - '0');
      if (n > (max - digit) / 10 || digit > max) {
        errno = ERANGE;
        r = fail(name, 1, "number too large");
        break;
      }
      n = n * 10 + digit;
    }
    if (r == 1 && (!sa.len || i < sa.len)) {
      errno = EINVAL;
      r = fail(name, 1, "not a whole number; write digits only");
    }
  }
  stralloc_free(&sa);
  if (r == 1) *value = n;
  return r;
}

int control_exists(char const *name)
{
  int fd = open_control(name);
  if (fd >= 0) return (fd_close(fd), 1);
  if (errno == ENOENT) return 0;
  return fail(name, 0, strerror(errno));
}
