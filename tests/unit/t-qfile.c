/* t-qfile.c - the queue's files: headers, sums, names */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "qfile.h"

static char const body[] = "Received: x\n\nhello\nFa@b\0Tc@d";
#define BODY_LEN (sizeof body)

static struct qfile sample(void)
{
  struct qfile q = { .state = QFILE_LIVE, .id = 1795300000000001, .birth = 1795300000000000,
                     .nonce = "0123456789abcde", .msglen = 19, .envlen = BODY_LEN - 19,
                     .uid = 70000, .rcpts = 1 };
  q.sum = qfile_sum_add(qfile_sum_start(q.nonce), body, BODY_LEN);
  return q;
}

static void test_header(void)
{
  char h[QFILE_HEADER], bad[QFILE_HEADER];
  struct qfile q = sample(), r;
  qfile_pack(h, &q);
  memset(&r, 0, sizeof r);
  check(qfile_unpack(&r, h) && r.id == q.id && r.birth == q.birth && r.uid == q.uid &&
            r.rcpts == q.rcpts && r.msglen == q.msglen && r.envlen == q.envlen &&
            r.sum == q.sum && r.state == QFILE_LIVE && !memcmp(r.nonce, q.nonce, QFILE_NONCE),
        "what was packed is unpacked");
  int caught = 1, state = 1;
  for (size_t bit = 0; bit < QFILE_HEADER * 8; bit++) {
    memcpy(bad, h, sizeof bad);
    bad[bit / 8] = (char)(bad[bit / 8] ^ 1 << bit % 8);
    if (bit / 8 >= QFILE_STATE_AT && bit / 8 < QFILE_STATE_AT + 4)
      state &= qfile_unpack(&r, bad) && r.state != QFILE_LIVE && r.state != QFILE_DONE;
    else
      caught &= !qfile_unpack(&r, bad);
  }
  check(caught, "every flipped bit outside the state word is noticed");
  check(state, "a flipped bit in the state word makes it neither live nor done");
  q.msglen = QFILE_MSG_MAX + 1;
  qfile_pack(h, &q);
  check(!qfile_unpack(&r, h), "a message length over the limit does not hold");
  q = sample();
  q.envlen = QFILE_ENV_MAX + 1;
  qfile_pack(h, &q);
  check(!qfile_unpack(&r, h), "an envelope length over the limit does not hold");
}

static void test_file(void)
{
  char name[] = "qfile.XXXXXX", h[QFILE_HEADER];
  struct qfile q = sample(), r;
  int fd = mkstemp(name);
  if (fd == -1) {
    check(0, "a scratch file");
    return;
  }
  unlink(name);
  check(qfile_read(fd, &r) == 0, "an empty file does not hold");
  qfile_pack(h, &q);
  int wrote = pwrite(fd, h, sizeof h, 0) == (ssize_t)sizeof h;
  wrote &= pwrite(fd, body, BODY_LEN - 1, QFILE_HEADER) == (ssize_t)BODY_LEN - 1;
  check(wrote && qfile_read(fd, &r) == 0, "a file shorter than its header says does not hold");
  wrote = pwrite(fd, body, BODY_LEN, QFILE_HEADER) == (ssize_t)BODY_LEN;
  check(wrote && qfile_read(fd, &r) == 1 && qfile_check_body(fd, &r) == 1, "a whole file holds");
  wrote = pwrite(fd, "tail", 4, QFILE_HEADER + BODY_LEN) == 4;
  check(wrote && qfile_read(fd, &r) == 1 && qfile_check_body(fd, &r) == 1,
        "bytes beyond the end that the header gives do not matter");
  check(qfile_mark(fd, QFILE_DONE) && qfile_read(fd, &r) == 1 && r.state == QFILE_DONE,
        "marked finished, the header still holds");
  wrote = pwrite(fd, "X", 1, QFILE_HEADER + 3) == 1;
  check(wrote && qfile_read(fd, &r) == 1 && qfile_check_body(fd, &r) == 0,
        "a changed byte of the body is noticed");
  close(fd);
  check(qfile_read(fd, &r) == -1 && errno == EBADF, "a failed read is an error of its own");
}

static void test_names(void)
{
  char name[QFILE_NAME_MAX];
  uint64_t id;
  qfile_name(name, "mess", 23, 1795300000000001);
  check(!strcmp(name, "mess/11/1795300000000001"), "the name of a message");
  qfile_free_name(name, UINT64_MAX);
  check(!strcmp(name, "free/18446744073709551615"), "the name of a free file");
  check(qfile_scan_id("18446744073709551615", &id) && id == UINT64_MAX, "the largest id");
  static char const *const bad[] = { "", "0", "01", "1a", "-1", "+1", " 1", "1 ", ".new-1",
                                     "18446744073709551616", "99999999999999999999999" };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (qfile_scan_id(bad[i], &id)) check(0, bad[i]);
  check(1, "names that are no ids");
}

static void test_split(void)
{
  char dir[] = "split.XXXXXX", path[64];
  if (!mkdtemp(dir)) {
    check(0, "a scratch directory");
    return;
  }
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(qfile_split(fd) == 0, "a queue without mess/0 has no split");
  int made = 1;
  for (int i = -1; i < 3; i++) {
    snprintf(path, sizeof path, i < 0 ? "%s/mess" : "%s/mess/%d", dir, i);
    made &= mkdir(path, 0700) == 0;
  }
  check(made && qfile_split(fd) == 3, "mess/0 to mess/2 are a split of 3");
  for (int i = 2; i >= -1; i--) {
    snprintf(path, sizeof path, i < 0 ? "%s/mess" : "%s/mess/%d", dir, i);
    rmdir(path);
  }
  rmdir(dir);
  close(fd);
}

int main(void)
{
  char const *scratch = getenv("SCRATCH");
  if (scratch && chdir(scratch) == -1) return 111;
  test_header();
  test_file();
  test_names();
  test_split();
  return check_done();
}
