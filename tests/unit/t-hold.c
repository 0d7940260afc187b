/* t-hold.c - the set of what is held, and its file */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "../../send/hold.h"

static int queuefd;

static struct selector make(char kind, char const *value)
{
  struct selector sel;
  if (selector_make(&sel, kind, value, strlen(value))) exit(111);
  return sel;
}

static int add(struct holds *h, char kind, char const *value)
{
  struct selector sel = make(kind, value);
  return holds_add(h, &sel);
}

static int is_held(struct holds const *h, uint64_t id, char const *sender, char const *addr)
{
  return holds_rcpt(h, id, sender, strlen(sender), addr, strlen(addr));
}

static void check_set(void)
{
  struct holds h = HOLDS_ZERO;
  char id[32];
  check(!is_held(&h, 1, "s@a", "r@b"), "nothing is held at first");
  check(add(&h, 'd', "b.example") == 1 && add(&h, 's', "") == 1 && add(&h, 'i', "5") == 1 &&
            add(&h, 'd', "B.EXAMPLE") == 0, "what is there is not put in again");
  check(is_held(&h, 1, "s@a", "r@b.example") && is_held(&h, 1, "", "r@c") && is_held(&h, 5, "s@a", "r@c") &&
            !is_held(&h, 1, "s@a", "r@c"), "any of them holds");
  struct selector sel = make('d', "b.Example");
  check(holds_remove(&h, &sel) == 1 && holds_remove(&h, &sel) == 0 && !is_held(&h, 1, "s@a", "r@b.example") &&
            is_held(&h, 5, "s@a", "r@b.example"), "one is taken out, the others stay");
  int ok = 1;
  for (unsigned int i = 0; h.count < HOLDS_MAX; i++) {
    snprintf(id, sizeof id, "%u", 100 + i);
    ok &= add(&h, 'i', id) == 1;
  }
  check(ok && add(&h, 'a', "") == -1 && errno == ENOSPC, "there is a limit");
  check(holds_write(&h, queuefd), "the fullest set is written");
  struct holds back = HOLDS_ZERO;
  ok = holds_read(&back, queuefd) && back.count == h.count;
  for (size_t i = 0; ok && i < h.count; i++) ok = selector_equal(h.items + i, back.items + i);
  check(ok, "and read as it was");
  holds_free(&back);
  holds_free(&h);
}

static void put(char const *s, size_t len)
{
  int fd = openat(queuefd, HOLDS_NAME, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd == -1 || write(fd, s, len) != (ssize_t)len) exit(111);
  close(fd);
}

static void check_file(void)
{
  static char all[65536];
  struct holds h = HOLDS_ZERO, back = HOLDS_ZERO;
  struct stat st;
  unlinkat(queuefd, HOLDS_NAME, 0);
  check(holds_read(&back, queuefd) && !back.count, "no file: nothing is held");
  check(holds_write(&h, queuefd) && holds_read(&back, queuefd) && !back.count, "an empty set");
  add(&h, 'a', "");
  add(&h, 's', " odd sender @x.example");
  add(&h, 's', "");
  check(holds_write(&h, queuefd) && holds_read(&back, queuefd) && back.count == 3 && is_held(&back, 1, "", "r") &&
            selector_equal(h.items + 1, back.items + 1), "a set with odd ones");
  holds_free(&back);
  check(fstatat(queuefd, "lock/holds.new", &st, 0) == -1, "nothing else is left");
  int fd = openat(queuefd, HOLDS_NAME, O_RDONLY);
  ssize_t len = read(fd, all, sizeof all);
  close(fd);
  int ok = 1;
  for (ssize_t i = 0; i < len; i++) {
    put(all, (size_t)i);
    ok &= !holds_read(&back, queuefd) && errno == EPROTO && !back.count;
  }
  check(ok && len > 100, "cut off anywhere: damaged");
  ok = 1;
  for (ssize_t i = 0; i < len; i++) {
    all[i] ^= 1;
    put(all, (size_t)len);
    ok &= !holds_read(&back, queuefd) && !back.count;
    all[i] ^= 1;
  }
  check(ok, "a changed bit anywhere: damaged");
  put(all, (size_t)len);
  check(holds_read(&back, queuefd) && back.count == 3, "and whole again");
  holds_free(&back);
  holds_free(&h);
}

int main(void)
{
  if (chdir(getenv("SCRATCH")) == -1 || mkdir("lock", 0700) == -1) return 111;
  queuefd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check_set();
  check_file();
  return check_done();
}
