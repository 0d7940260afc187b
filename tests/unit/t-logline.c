/* t-logline.c - log lines stay single, whatever a peer sent */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "logline.h"

static int is(struct logline const *l, char const *expected)
{
  return l->len == strlen(expected) && !memcmp(l->s, expected, l->len);
}

static struct value_case {
  char const *why, *value;
  size_t len;
  char const *shown;
} const values[] = {
  { "a plain value stands bare", "a@b.example", 11, " k=a@b.example" },
  { "angle brackets stand bare", "<>", 2, " k=<>" },
  { "an empty value is quoted", "", 0, " k=\"\"" },
  { "a space is quoted", "250 ok", 6, " k=\"250 ok\"" },
  { "an equals sign is quoted", "a=b", 3, " k=\"a=b\"" },
  { "quotes and backslashes are escaped", "\"\\", 2, " k=\"\\\"\\\\\"" },
  { "line ends, NUL and 8-bit become hexadecimal", "\r\n\0\377", 4, " k=\"\\x0d\\x0a\\x00\\xff\"" },
};

static void keys(void)
{
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    struct logline l = LOGLINE_ZERO;
    logline_keyb(&l, "k", values[i].value, values[i].len);
    check(is(&l, values[i].shown), values[i].why);
  }
  struct logline l = LOGLINE_ZERO;
  logline_keyn(&l, "n", 18446744073709551615u);
  check(is(&l, " n=18446744073709551615"), "the largest number is written out");
}

static void safe(void)
{
  struct logline l = LOGLINE_ZERO;
  logline_safe(&l, "a b\n%\r\0\377", 8);
  check(is(&l, "a_b/____"), "unsafe bytes become _, newlines /, as in qmail-send");
}

/* What comes out of logline_write for the line <l>. */
static size_t written(struct logline *l, char *out, size_t size)
{
  int p[2];
  if (pipe(p)) exit(111);
  int err = dup(2);
  dup2(p[1], 2);
  logline_write(l);
  dup2(err, 2);
  ssize_t n = read(p[0], out, size);
  close(err);
  close(p[0]);
  close(p[1]);
  return n < 0 ? 0 : (size_t)n;
}

static void limits(void)
{
  static char big[100000];
  static char out[2 * LOGLINE_MAX];
  struct logline l = LOGLINE_ZERO;
  memset(big, 'x', sizeof big);
  logline_keyb(&l, "k", big, sizeof big);
  check(l.len == 3 + LOGLINE_VALUE + 3 && !memcmp(l.s + l.len - 3, "...", 3), "a long value is cut");
  for (int i = 0; i < 100; i++) logline_keyb(&l, "k", big, sizeof big);
  size_t n = written(&l, out, sizeof out);
  check(n == LOGLINE_MAX && out[n - 1] == '\n', "a line never exceeds its limit");
  check(l.len == 0, "a written line is empty again");
}

/* An old kernel cannot write to a pipe without waiting. */
static int old_kernel;
ssize_t pwritev2(int fd, struct iovec const *v, int n, off_t at, int flags)
{
  if (old_kernel) return (errno = EOPNOTSUPP, -1);
  return syscall(SYS_pwritev2, fd, v, n, at, 0, flags);
}

static void line(char const *text)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, text);
  logline_write(&l);
}

#define PIPE_BYTES (4 * LOGLINE_MAX)

/* Nobody reads: what is written waits once, and then no more. */
static void stopped(char const *kernel)
{
  static char out[PIPE_BYTES];
  char why[100];
  int p[2];
  if (pipe(p) || fcntl(p[1], F_SETPIPE_SZ, PIPE_BYTES) == -1) exit(111);
  int err = dup(2);
  dup2(p[1], 2);
  memset(out, 'x', sizeof out);
  (void)!write(2, out, sizeof out);
  time_t began = time(0);
  for (int i = 0; i < 1000; i++) line("lost");
  time_t took = time(0) - began;
  (void)!read(p[0], out, sizeof out);
  line("found");
  dup2(err, 2);
  ssize_t n = read(p[0], out, sizeof out);
  close(err);
  close(p[0]);
  close(p[1]);
  snprintf(why, sizeof why, "a log that takes nothing holds nobody up for long (%s)", kernel);
  check(took < 20, why);
  snprintf(why, sizeof why, "and is told what it lost (%s)", kernel);
  static char const want[] = ": warning: 1000 log lines were lost\nfound\n";
  size_t len = sizeof want - 1;
  check(n > (ssize_t)len && !memcmp(out + (size_t)n - len, want, len), why);
}

int main(void)
{
  stopped("a new kernel");
  old_kernel = 1;
  stopped("an old one");
  old_kernel = 0;
  keys();
  safe();
  limits();
  return check_done();
}
