/* vacation-memory.c - who was answered when; see vacation.h
 *
 * A text file: "pipit-vacation 1 CRC\n", then a line "TIME ADDRESS\n" for each answer, the
 * latest last; CRC, eight hexadecimal digits, is the CRC-32C of these lines. It is replaced as a
 * whole under a lock. When it has grown to MEMORY_MAX, it forgets the oldest.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/djbunix.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "crc32c.h"
#include "helper.h"
#include "mboxfile.h"
#include "program.h"
#include "vacation.h"

#define MEMORY_MAX 262144 /* bytes: some 5000 senders */
#define HOUR       3600
#define TRIES      100 /* times that another may have replaced the file before we have the lock */

static char const magic[] = "pipit-vacation 1 ";
#define HEAD_LEN (sizeof magic - 1 + 9) /* with the CRC and the newline */

struct entry {
  int64_t when;
  char const *sender;
  size_t len; /* of the sender */
};

/* The entry of the line at <*pos>, and move <*pos> behind it. 1, 0 at the end, -1 damage. */
static int next(stralloc const *lines, size_t *pos, struct entry *e)
{
  uint64_t when;
  char const *s = lines->s + *pos;
  if (*pos == lines->len) return 0;
  char const *newline = memchr(s, '\n', lines->len - *pos);
  if (!newline) return -1;
  char const *blank = memchr(s, ' ', (size_t)(newline - s));
  size_t n = blank ? uint64_scan(s, &when) : 0;
  if (!n || s + n != blank || when > INT64_MAX) return -1;
  *e = (struct entry){(int64_t)when, blank + 1, (size_t)(newline - blank) - 1};
  *pos = (size_t)(newline - lines->s) + 1;
  return 1;
}

static void write_head(char head[HEAD_LEN + 1], stralloc const *lines)
{
  snprintf(head, HEAD_LEN + 1, "%s%08x\n", magic, crc32c(0, lines->s, lines->len));
}

/* Open the file, and lock it. */
static int open_locked(char const *path)
{
  struct stat st;
  for (int i = 0; i < TRIES; i++) {
    int fd = open(path, O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd == -1) strerr_diefusys(EXIT_TEMPORARY, "open ", path);
    if (!mboxfile_lock(fd)) strerr_diefusys(EXIT_TEMPORARY, "lock ", path);
    if (mboxfile_is_same(fd, path, &st) && S_ISREG(st.st_mode)) return fd;
    close(fd);
  }
  strerr_dief(EXIT_TEMPORARY, path, " is no regular file, or is being replaced all the time");
}

/* Read the lines. 1, or 0 when they are damaged. A file that is empty is a new one. */
static int load(int fd, char const *path, stralloc *lines)
{
  char head[HEAD_LEN + 1];
  struct stat st;
  if (fstat(fd, &st) == -1) strerr_diefusys(EXIT_TEMPORARY, "stat ", path);
  if (st.st_size > MEMORY_MAX + (off_t)HEAD_LEN) return 0;
  if (!slurp(lines, fd)) strerr_diefusys(EXIT_TEMPORARY, "read ", path);
  if (!lines->len) return 1;
  if (lines->len < HEAD_LEN) return 0;
  memcpy(head, lines->s, HEAD_LEN);
  lines->len -= HEAD_LEN;
  memmove(lines->s, lines->s + HEAD_LEN, lines->len);
  char expected[HEAD_LEN + 1];
  write_head(expected, lines);
  return !memcmp(head, expected, HEAD_LEN);
}

/* Count what stands there already; <*keep> is where the first entry begins that still counts. */
static char const *judge(struct vacation const *v, stralloc const *lines, int64_t now, size_t *keep)
{
  struct entry e;
  size_t len = strlen(v->sender), before = 0;
  uint64_t his = 0, all = 0;
  int64_t span = v->interval > INT64_MAX ? INT64_MAX : (int64_t)v->interval;
  int r;
  *keep = lines->len;
  for (size_t pos = 0; (r = next(lines, &pos, &e)) == 1; before = pos) {
    int64_t age = now - e.when; /* negative where the clock was set back: that counts */
    if ((age < span || age < HOUR) && *keep == lines->len) *keep = before;
    if (age < HOUR) all++;
    if (age < span && e.len == len && !strncasecmp(e.sender, v->sender, len)) his++;
  }
  if (r == -1) return "what it remembers is damaged: remove the file";
  if (his >= v->count) return "its sender was answered lately";
  if (all >= v->hourly) return "too many messages were answered in the last hour";
  return 0;
}

/* Forget the first <n> bytes, and more where there are too many. */
static void forget(stralloc *lines, size_t n)
{
  if (lines->len - n > MEMORY_MAX - VACATION_SENDER_MAX - UINT64_FMT) {
    n = lines->len / 4;
    while (n < lines->len && lines->s[n - 1] != '\n') n++;
  }
  lines->len -= n;
  if (n) memmove(lines->s, lines->s + n, lines->len);
}

static void store(char const *path, stralloc const *lines)
{
  char head[HEAD_LEN + 1];
  stralloc text = STRALLOC_ZERO, tmp = STRALLOC_ZERO;
  write_head(head, lines);
  helper_add(&text, head, HEAD_LEN);
  helper_add(&text, lines->s, lines->len);
  helper_add(&tmp, path, strlen(path));
  helper_add_string(&tmp, ".tmp");
  helper_replace(path, tmp.s, &text, 0600);
  stralloc_free(&text);
  stralloc_free(&tmp);
}

char const *vacation_remember(struct vacation const *v, int64_t now)
{
  stralloc lines = STRALLOC_ZERO;
  char number[UINT64_FMT];
  size_t keep;
  int fd = open_locked(v->memory);
  char const *why = "what it remembers is damaged: remove the file";
  if (load(fd, v->memory, &lines)) why = judge(v, &lines, now, &keep);
  if (!why) {
    forget(&lines, keep);
    helper_add(&lines, number, uint64_fmt(number, (uint64_t)now));
    helper_add(&lines, " ", 1);
    helper_add(&lines, v->sender, strlen(v->sender));
    helper_add(&lines, "\n", 1);
    store(v->memory, &lines);
  }
  close(fd);
  stralloc_free(&lines);
  return why;
}
