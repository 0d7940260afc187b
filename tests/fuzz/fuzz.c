/* fuzz.c - what the fuzzers share; see fuzz.h */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define UNPACKED_MAX 24576

void (*fuzz_explain)(void);

void fuzz_fail(char const *file, int line, char const *what)
{
  if (fuzz_explain) fuzz_explain();
  fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
  abort();
}

unsigned int fuzz_byte(struct fuzz *f)
{
  if (!f->len) return 0;
  f->len--;
  return (unsigned char)*f->s++;
}

unsigned int fuzz_below(struct fuzz *f, unsigned int max)
{
  return fuzz_byte(f) % max;
}

uint64_t fuzz_word(struct fuzz *f)
{
  uint64_t n = 0;
  for (int i = 0; i < 8; i++) n = n << 8 | fuzz_byte(f);
  return n;
}

struct fuzz fuzz_until(struct fuzz *f, char end)
{
  char const *p = f->len ? memchr(f->s, end, f->len) : 0;
  struct fuzz part = { f->s, p ? (size_t)(p - f->s) : f->len };
  f->s += part.len + (p != 0);
  f->len -= part.len + (p != 0);
  return part;
}

size_t fuzz_piece(uint32_t *state, size_t max)
{
  *state = *state * 1664525u + 1013904223u;
  size_t n = *state >> 16;
  n = n & 0x700 ? n % 8 : n % 4096;
  return n < 1 ? 1 : n > max ? max : n;
}

char *fuzz_copy(char const *s, size_t len)
{
  char *copy = malloc(len);
  if (!copy && len) abort();
  if (len) memcpy(copy, s, len);
  return copy;
}

char *fuzz_unpack(struct fuzz f, size_t *len)
{
  static char buf[UNPACKED_MAX];
  size_t n = 0;
  while (f.len && n < sizeof buf - 16 * 255) {
    char c = (char)fuzz_byte(&f);
    size_t times = 1;
    if (c == 2 && f.len > 1) {
      times = 16 * fuzz_byte(&f);
      c = (char)fuzz_byte(&f);
    }
    memset(buf + n, c, times);
    n += times;
  }
  *len = n;
  return fuzz_copy(buf, n);
}

static void die(char const *what)
{
  perror(what);
  exit(111);
}

int fuzz_home(void)
{
  static char path[512];
  char const *scratch = getenv("SCRATCH");
  snprintf(path, sizeof path, "%s/fuzz.XXXXXX", scratch ? scratch : "/tmp");
  if (!mkdtemp(path) || setenv("PIPIT_HOME", path, 1)) die(path);
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd == -1 || mkdirat(fd, "control", 0755)) die(path);
  return fd;
}

void fuzz_file(int dirfd, char const *path, void const *s, size_t len)
{
  int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd == -1 || write(fd, s, len) != (ssize_t)len || close(fd)) die(path);
}

int fuzz_memory(void const *s, size_t len)
{
  static int fd = -1;
  if (fd == -1 && ((fd = memfd_create("fuzz", MFD_CLOEXEC)) == -1 || fchmod(fd, 0600)))
    die("memfd");
  if (ftruncate(fd, 0) || pwrite(fd, s, len, 0) != (ssize_t)len || lseek(fd, 0, SEEK_SET))
    die("memfd");
  return fd;
}
