/* maildir2mbox.c - move the messages of a Maildir to an mbox file
 *
 * usage: maildir2mbox
 *
 * MAILDIR is the Maildir, MAIL the mbox file, MAILTMP a file beside it that
 * becomes the new MAIL: so all messages are there, or none is. The lock is that
 * of pipit-local. Killed between that and the removal of the messages from the
 * Maildir, it moves these once more the next time.
 *
 * exit: 0 moved, or there was nothing to move; 100 wrong usage, 111 nothing was moved.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/buffer.h>
#include <skalibs/strerr.h>

#include "helper.h"
#include "fileat.h"
#include "mboxfile.h"
#include "program.h"

#define CHUNK      65536
#define FIRST_LINE 1200    /* bytes that are looked at for Return-Path */
#define MAX_FOLDER 1000000 /* messages in a Maildir */

struct mail {
  time_t when;
  char *name; /* new/NAME or cur/NAME */
};

struct move {
  char const *mbox, *tmp, *maildir;
  int dir; /* the Maildir */
  struct mail *list;
  size_t count, room;
};

static char outbuf[CHUNK];

static void add_mail(struct move *m, char const *folder, char const *name)
{
  struct stat st;
  char *path;
  if (asprintf(&path, "%s/%s", folder, name) == -1) helper_nomem();
  if (fstatat(m->dir, path, &st, 0) == -1) {
    if (errno != ENOENT) strerr_diefusys(EXIT_TEMPORARY, "stat ", m->maildir, "/", path);
    free(path);
    return;
  }
  if (m->count == MAX_FOLDER) strerr_dief(EXIT_TEMPORARY, "more than a million messages");
  if (m->count == m->room) {
    m->room = m->room ? 2 * m->room : 64;
    m->list = realloc(m->list, m->room * sizeof *m->list);
    if (!m->list) helper_nomem();
  }
  m->list[m->count++] = (struct mail){.when = st.st_mtime, .name = path};
}

static void scan(struct move *m, char const *folder)
{
  struct dirent const *e;
  int fd = openat(m->dir, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd == -1 ? 0 : fdopendir(fd);
  if (!d) strerr_diefusys(EXIT_TEMPORARY, "read ", m->maildir, "/", folder);
  while (errno = 0, (e = readdir(d)))
    if (*e->d_name != '.') add_mail(m, folder, e->d_name);
  if (errno) strerr_diefusys(EXIT_TEMPORARY, "read ", m->maildir, "/", folder);
  closedir(d);
}

static int by_time(void const *a, void const *b)
{
  struct mail const *x = a, *y = b;
  if (x->when != y->when) return x->when < y->when ? -1 : 1;
  return strcmp(x->name, y->name);
}

/* Nothing has been moved: what <tmp> has is of no use. */
static void fail(struct move const *m, char const *doing, char const *what)
    __attribute__((noreturn));
static void fail(struct move const *m, char const *doing, char const *what)
{
  int e = errno;
  unlink(m->tmp);
  errno = e;
  strerr_diefusys(EXIT_TEMPORARY, doing, what);
}

/* Append the separator, with the sender that a line "Return-Path: <sender>" at the top says. */
static int put_from(buffer *b, int fd, time_t when)
{
  static char const name[] = "Return-Path: <";
  size_t const n = sizeof name - 1;
  char line[FIRST_LINE];
  stralloc from = STRALLOC_ZERO;
  char const *sender = "XXX";
  size_t len = 3;
  ssize_t r = pread(fd, line, sizeof line, 0);
  if (r == -1) return 0;
  char const *end = memchr(line, '\n', (size_t)r);
  if (end && (size_t)(end - line) > n && !memcmp(line, name, n) && end[-1] == '>') {
    sender = line + n;
    len = (size_t)(end - sender) - 1;
  }
  int ok = mboxfile_from(&from, sender, len, when) && buffer_put(b, from.s, from.len) >= 0;
  stralloc_free(&from);
  return ok;
}

/* Append a message; one that is gone meanwhile is left out, and out of the list. */
static void put_mail(struct move const *m, buffer *b, struct mail *mail)
{
  int fd = openat(m->dir, mail->name, O_RDONLY | O_CLOEXEC);
  if (fd == -1 && errno == ENOENT) {
    mail->name = 0;
    return;
  }
  if (fd == -1) fail(m, "open ", mail->name);
  if (!put_from(b, fd, mail->when) || !mboxfile_put(b, fd)) fail(m, "copy ", mail->name);
  close(fd);
}

/* Copy what <old> holds, as it is, and end what was cut off there. */
static void put_old(struct move const *m, buffer *b, int old, off_t size)
{
  char in[CHUNK];
  ssize_t n;
  if (lseek(old, 0, SEEK_SET) == -1) fail(m, "read ", m->mbox);
  while ((n = fd_read(old, in, sizeof in)) > 0)
    if (buffer_put(b, in, (size_t)n) < 0) fail(m, "write ", m->tmp);
  char const *gap = n ? 0 : mboxfile_gap(old, size);
  if (!gap) fail(m, "read ", m->mbox);
  if (buffer_puts(b, gap) < 0) fail(m, "write ", m->tmp);
}

/* The new mbox file has all that the old one has, its mode, and its owner where that can be. */
static void make_new(struct move const *m, int old, struct stat const *st)
{
  if (unlink(m->tmp) == -1 && errno != ENOENT) strerr_diefusys(EXIT_TEMPORARY, "remove ", m->tmp);
  int fd = open(m->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd == -1) strerr_diefusys(EXIT_TEMPORARY, "create ", m->tmp);
  buffer b = BUFFER_INIT(&buffer_write, fd, outbuf, sizeof outbuf);
  (void)!fchown(fd, st->st_uid, st->st_gid);
  if (fchmod(fd, st->st_mode & 0777) == -1) fail(m, "set the mode of ", m->tmp);
  put_old(m, &b, old, st->st_size);
  for (size_t i = 0; i < m->count; i++) put_mail(m, &b, m->list + i);
  if (!buffer_flush(&b) || fsync(fd) == -1 || close(fd) == -1) fail(m, "write ", m->tmp);
}

static void remove_moved(struct move const *m)
{
  for (size_t i = 0; i < m->count; i++)
    if (m->list[i].name && unlinkat(m->dir, m->list[i].name, 0) == -1 && errno != ENOENT)
      strerr_warnwusys("remove ", m->maildir, "/", m->list[i].name, ", it will be there twice");
}

int maildir2mbox_main(int argc, char const *const *argv)
{
  struct stat st;
  (void)argv;
  if (argc != 1)
    strerr_dieusage(EXIT_PERMANENT, "maildir2mbox, with MAIL, MAILDIR and MAILTMP set");
  struct move m = {
      .mbox = helper_env("MAIL"), .tmp = helper_env("MAILTMP"), .maildir = helper_env("MAILDIR")};
  m.dir = open(m.maildir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (m.dir == -1) strerr_diefusys(EXIT_TEMPORARY, "open ", m.maildir);
  scan(&m, "new");
  scan(&m, "cur");
  if (!m.count) return 0;
  qsort(m.list, m.count, sizeof *m.list, by_time);
  int old = open(m.mbox, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
  if (old == -1) strerr_diefusys(EXIT_TEMPORARY, "open ", m.mbox);
  if (fstat(old, &st) == -1 || !S_ISREG(st.st_mode))
    strerr_dief(EXIT_TEMPORARY, m.mbox, " is no regular file");
  if (!mboxfile_lock(old)) strerr_diefusys(EXIT_TEMPORARY, "lock ", m.mbox);
  if (!mboxfile_is_same(old, m.mbox, &st))
    strerr_dief(EXIT_TEMPORARY, m.mbox, " was replaced meanwhile");
  make_new(&m, old, &st);
  if (rename(m.tmp, m.mbox) == -1) fail(&m, "rename ", m.tmp);
  if (!fileat_sync_above(m.mbox)) strerr_diefusys(EXIT_TEMPORARY, "sync the folder of ", m.mbox);
  remove_moved(&m);
  return 0;
}
