/* maildir.c - deliver to a Maildir; see maildir.h */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/types.h>

#include "folder.h"
#include "maildir.h"
#include "maildirsize.h"
#include "program.h"

#define TRIES    10  /* names that are tried in tmp/ */
#define HOST_MAX 128 /* bytes of the host's name as it stands in a file name, with the NUL */
#define NUMBERS_MAX 160 /* bytes that all else in a name takes */
#define NAME_BYTES  (HOST_MAX + NUMBERS_MAX)
#define CLEAN_MAX 256 /* names in tmp/ that are looked at in one delivery */

struct maildir {
  int self, tmp, new;
  char tmpname[NAME_BYTES];
  char newname[NAME_BYTES];
};

static int trouble(struct report *r)
{
  return report_fail(r, EXIT_TEMPORARY, "Temporary error on maildir delivery: %s. (#4.3.0)",
                     strerror(errno));
}

/* This host's name, with what must not be in a file name of a Maildir as \ooo. */
static void escaped_host(char out[HOST_MAX])
{
  char host[HOST_MAX] = "";
  size_t n = 0;
  if (gethostname(host, sizeof host - 1) == -1 || !*host) memcpy(host, "localhost", 10);
  for (char const *s = host; *s && n < HOST_MAX - 5; s++) {
    if (*s <= 32 || *s > 126 || strchr("/:,", *s))
      n += (size_t)snprintf(out + n, 5, "\\%03o", (unsigned char)*s);
    else
      out[n++] = *s;
  }
  out[n] = 0;
}

static size_t put(char *out, char const *s)
{
  size_t n = strlen(s);
  memcpy(out, s, n + 1);
  return n;
}

/* What both names begin with. No printf: see perform_summary. */
static size_t begin_name(char *out, struct timespec const *now)
{
  size_t n = uint64_fmt(out, (uint64_t)now->tv_sec);
  n += put(out + n, ".M");
  n += uint64_fmt(out + n, (uint64_t)now->tv_nsec / 1000);
  n += put(out + n, "P");
  return n + uint64_fmt(out + n, (uint64_t)getpid());
}

/* Make a file in tmp/ under a name that nobody has: time, microseconds and pid
 * tell this delivery from others on this host. Its descriptor, or -1 with errno. */
static int create(struct maildir *d, struct timespec *now, char const host[HOST_MAX])
{
  int fd = -1;
  for (int i = 0; fd == -1 && i < TRIES; i++) {
    clock_gettime(CLOCK_REALTIME, now);
    size_t n = begin_name(d->tmpname, now);
    n += put(d->tmpname + n, ".");
    put(d->tmpname + n, host);
    fd = openat(d->tmp, d->tmpname, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd == -1 && errno != EEXIST) break;
  }
  return fd;
}

/* The name in new/ has device, inode and size too: unique wherever the Maildir is shared. */
static void name_it(struct maildir *d, struct timespec const *now, char const host[HOST_MAX],
                    struct stat const *st)
{
  char *s = d->newname;
  size_t n = begin_name(s, now);
  n += put(s + n, "V");
  n += uint64_xfmt(s + n, st->st_dev);
  n += put(s + n, "I");
  n += uint64_xfmt(s + n, st->st_ino);
  n += put(s + n, ".");
  n += put(s + n, host);
  n += put(s + n, ",S=");
  s[n + uint64_fmt(s + n, (uint64_t)st->st_size)] = 0;
}

static int write_message(struct delivery const *d, struct message *m, int fd, struct stat *st,
                         struct report *r)
{
  uint64_t size;
  struct iovec const head[] = {{d->rpline.s, d->rpline.len}, {d->dtline.s, d->dtline.len}};
  if (!message_write(m, fd, "maildir file", head, 2, &size, r)) return 0;
  if (fsync(fd) == -1 || fstat(fd, st) == -1) return trouble(r);
  return 1;
}

/* Move from tmp/ to new/ without replacing anything. */
static int move(struct maildir const *d)
{
  if (renameat2(d->tmp, d->tmpname, d->new, d->newname, RENAME_NOREPLACE) == 0) return 1;
  if (errno != EINVAL && errno != ENOSYS) return 0;
  if (linkat(d->tmp, d->tmpname, d->new, d->newname, 0) == -1) return 0;
  unlinkat(d->tmp, d->tmpname, 0);
  return 1;
}

/* Remove what deliveries that were cut off have left. */
static void clean(int tmp, time_t now)
{
  struct stat st;
  struct dirent const *e;
  int copy = openat(tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = copy == -1 ? 0 : fdopendir(copy);
  if (!dir) {
    if (copy != -1) close(copy);
    return;
  }
  for (int i = 0; i < CLEAN_MAX && (e = readdir(dir)); i++)
    if (e->d_name[0] != '.' && fstatat(tmp, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(st.st_mode) && st.st_mtime < now - MAILDIR_STALE &&
        st.st_atime < now - MAILDIR_STALE)
      unlinkat(tmp, e->d_name, 0);
  closedir(dir);
}

/* Make it appear in new/, if there is room for it. */
static int publish(struct maildir const *dir, char const *path, uint64_t size,
                   struct quota const *quota, struct report *r)
{
  struct maildirsize room;
  if (!maildirsize_enter(&room, dir->self, path, quota, size, r)) return 0;
  int ok = move(dir) || trouble(r);
  maildirsize_leave(&room, ok);
  return ok;
}

static int deliver(struct maildir *dir, char const *path, struct delivery const *d,
                   struct message *m, struct maildir_how const *how, struct report *r)
{
  char host[HOST_MAX];
  struct timespec now;
  struct stat st;
  escaped_host(host);
  int fd = create(dir, &now, host);
  if (fd == -1) return trouble(r);
  int ok = write_message(d, m, fd, &st, r);
  if (close(fd) == -1 && ok) ok = trouble(r);
  if (ok) {
    name_it(dir, &now, host, &st);
    ok = publish(dir, path, (uint64_t)st.st_size, &how->quota, r);
  }
  if (!ok) {
    unlinkat(dir->tmp, dir->tmpname, 0);
  } else if (fsync(dir->new) == -1) {
    ok = trouble(r);
    unlinkat(dir->new, dir->newname, 0);
  }
  if (how->tidy) clean(dir->tmp, now.tv_sec);
  return ok;
}

/* Open the folders of the Maildir <path>. 1, or 0 with errno. */
static int enter(struct maildir *dir, char const *path)
{
  int const flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  dir->self = open(path, flags);
  if (dir->self != -1) dir->tmp = openat(dir->self, "tmp", flags | O_NOFOLLOW);
  if (dir->tmp != -1) dir->new = openat(dir->self, "new", flags | O_NOFOLLOW);
  return dir->new != -1;
}

static void leave(struct maildir *dir)
{
  int e = errno;
  if (dir->new != -1) close(dir->new);
  if (dir->tmp != -1) close(dir->tmp);
  if (dir->self != -1) close(dir->self);
  dir->self = dir->tmp = dir->new = -1;
  errno = e;
}

static int enter_or_make(struct maildir *dir, char const *path, int make)
{
  if (enter(dir, path)) return 1;
  if (!make || errno != ENOENT) return 0;
  leave(dir);
  return folder_make_maildir(path) && enter(dir, path);
}

int maildir_deliver(struct delivery const *d, struct message *m, char const *path,
                    struct maildir_how const *how, struct report *r)
{
  struct maildir dir = {.self = -1, .tmp = -1, .new = -1};
  int ok = enter_or_make(&dir, path, how->make)
               ? deliver(&dir, path, d, m, how, r)
               : report_fail(r, EXIT_TEMPORARY, "Unable to chdir to maildir. (#4.2.1) %s: %s", path,
                             strerror(errno));
  leave(&dir);
  return ok;
}
