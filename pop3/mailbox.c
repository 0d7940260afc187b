/* mailbox.c - a Maildir as POP3 sees it; see mailbox.h */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/sha256.h>

#include "../local/maildircount.h"
#include "../local/sizefile.h"
#include "lock.h"
#include "mailbox.h"
#include "sandbox.h"

#define NAME_ROOM (NAME_MAX + 1)
#define DIRECTORY (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

typedef int visit(struct mailbox *b, char const *name, int is_new);

struct mailbox_message *mailbox_message(struct mailbox const *b, size_t i)
{
  return genalloc_s(struct mailbox_message, &b->messages) + i;
}

static char const *base_of(struct mailbox const *b, struct mailbox_message const *m)
{
  return b->names.s + m->name;
}

/* The name of its file, when <info> stands behind the ':'. 0 when it is too long. */
static int file_name(char out[NAME_ROOM], char const *base, char const *info)
{
  int n = snprintf(out, NAME_ROOM, "%s%s%s", base, *info ? ":" : "", info);
  return n > 0 && n < NAME_ROOM;
}

static char const *info_of(char const *base)
{
  return base + strlen(base) + 1;
}

/* Keep a name as struct mailbox_message has it. Its offset, or -1 with errno. */
static int64_t keep(struct mailbox *b, char const *name)
{
  size_t at = b->names.len;
  size_t len = strlen(name);
  char const *colon = memchr(name, ':', len);
  size_t base = colon ? (size_t)(colon - name) : len;
  if (len + 2 > MAILBOX_NAMES_MAX - at) return (errno = ENOMEM, -1);
  if (!stralloc_catb(&b->names, name, base) || !stralloc_0(&b->names) ||
      !stralloc_cats(&b->names, colon ? colon + 1 : "") || !stralloc_0(&b->names))
    return (errno = ENOMEM, -1);
  return (int64_t)at;
}

/* The number behind ,<letter>= in a name up to its ':'. 1, or 0 when there is none. */
static int hint(char const *base, char letter, uint64_t *size)
{
  char const mark[] = { ',', letter, '=', 0 };
  char const *s = strstr(base, mark);
  char *end;
  if (!s || s[3] < '0' || s[3] > '9') return 0;
  errno = 0;
  unsigned long long n = strtoull(s + 3, &end, 10);
  if (errno || (*end && *end != ',') || n > INT64_MAX) return 0;
  *size = n;
  return 1;
}

/* --- looking through it --- */

static int is_regular(int dir, struct dirent const *e)
{
  struct stat st;
  if (e->d_type != DT_UNKNOWN) return e->d_type == DT_REG;
  return fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* Show each message of new/ or cur/. 1, or 0 with errno. */
static int walk(struct mailbox *b, int is_new, visit *f)
{
  int fd = openat(is_new ? b->new : b->cur, ".", DIRECTORY);
  DIR *dir = fd == -1 ? 0 : fdopendir(fd);
  struct dirent const *e;
  int ok = 1;
  if (!dir) {
    if (fd != -1) close(fd);
    return 0;
  }
  while (ok && (errno = 0, e = readdir(dir)))
    if (e->d_name[0] != '.' && e->d_name[0] != ':' && is_regular(fd, e)) ok = f(b, e->d_name, is_new);
  int error = errno;
  closedir(dir);
  errno = error;
  return ok && !error;
}

/* new/ first: what is moved to cur/ meanwhile is found twice rather than never. */
static int walk_both(struct mailbox *b, visit *f)
{
  return walk(b, 1, f) && walk(b, 0, f);
}

static int add(struct mailbox *b, char const *name, int is_new)
{
  struct mailbox_message m = { .in_new = (uint8_t)is_new };
  struct stat st;
  if (genalloc_len(struct mailbox_message, &b->messages) == MAILBOX_MESSAGES_MAX) return 1;
  int64_t at = keep(b, name);
  if (at == -1) return 0;
  m.name = (uint32_t)at;
  char const *base = base_of(b, &m);
  if (!hint(base, 'W', &m.size) && !hint(base, 'S', &m.size)) {
    if (fstatat(is_new ? b->new : b->cur, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
      return errno == ENOENT; /* it has just gone */
    m.size = (uint64_t)st.st_size;
  }
  return genalloc_append(struct mailbox_message, &b->messages, &m) || (errno = ENOMEM, 0);
}

static int compare(void const *one, void const *two, void *data)
{
  struct mailbox const *b = data;
  struct mailbox_message const *m = one, *n = two;
  int r = strverscmp(base_of(b, m), base_of(b, n));
  return r ? r : m->in_new - n->in_new; /* of one that is there twice, the one in cur/ comes first */
}

static void sort(struct mailbox *b)
{
  struct mailbox_message *m = mailbox_message(b, 0);
  size_t n = genalloc_len(struct mailbox_message, &b->messages);
  size_t kept = 0;
  if (n) qsort_r(m, n, sizeof *m, compare, b);
  for (size_t i = 0; i < n; i++)
    if (!kept || strcmp(base_of(b, m + i), base_of(b, m + kept - 1))) m[kept++] = m[i];
  b->count = kept;
}

/* The folder that has the maildirsize: this one, or for a subfolder the one above. */
static int open_base(struct mailbox const *b)
{
  int above = faccessat(b->self, MAILDIRCOUNT_FOLDER, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
              faccessat(b->self, "../" SIZEFILE_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  return openat(b->self, above ? ".." : ".", DIRECTORY);
}

/* Nothing by the name of a Maildir that is missing, not even a link, but a folder for it. 1, or 0 with
 * errno. */
static int is_not_made(char const *path)
{
  char s[PATH_MAX];
  struct stat st;
  size_t len = strlen(path);
  while (len && path[len - 1] == '/') len--;
  if (!len || len >= sizeof s || errno != ENOENT) return 0;
  memcpy(s, path, len);
  s[len] = 0;
  if (lstat(s, &st) == 0) return (errno = ENOENT, 0);
  char *slash = strrchr(s, '/');
  if (slash) slash[1] = 0;
  int fd = open(slash ? s : ".", DIRECTORY);
  if (fd != -1) close(fd);
  return fd != -1;
}

int mailbox_open(struct mailbox *b, char const *path)
{
  *b = (struct mailbox){ .new = -1, .cur = -1, .base = -1 };
  b->self = open(path, DIRECTORY);
  if (b->self == -1) return is_not_made(path);
  b->new = openat(b->self, "new", DIRECTORY | O_NOFOLLOW);
  if (b->new != -1) b->cur = openat(b->self, "cur", DIRECTORY | O_NOFOLLOW);
  if (b->cur == -1) return 0;
  b->base = open_base(b);
  return 1;
}

/* Of the folder above, a maildirsize: where one takes its place meanwhile, it does not hear of
 * this session, and has to be made anew before mail is refused. */
int mailbox_confine(struct mailbox const *b)
{
  int fds[] = { b->self, openat(b->base, SIZEFILE_NAME, O_PATH | O_NOFOLLOW | O_CLOEXEC) };
  int r = sandbox_write_below(fds, sizeof fds / sizeof *fds);
  int error = errno;
  if (fds[1] != -1) close(fds[1]);
  errno = error;
  return r != -1;
}

int mailbox_look(struct mailbox *b)
{
  if (b->self != -1 && !walk_both(b, add)) return 0;
  sort(b);
  return 1;
}

/* The message with this name up to the ':', or NULL. */
static struct mailbox_message *find(struct mailbox const *b, char const *base)
{
  size_t low = 0;
  size_t high = b->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    struct mailbox_message *m = mailbox_message(b, middle);
    int r = strverscmp(base_of(b, m), base);
    if (!r) return m;
    if (r < 0) low = middle + 1;
    else high = middle;
  }
  return 0;
}

/* Take what a message is called now. */
static int update(struct mailbox *b, char const *name, int is_new)
{
  char base[NAME_ROOM], known[NAME_ROOM];
  snprintf(base, sizeof base, "%.*s", (int)strcspn(name, ":"), name);
  struct mailbox_message *m = find(b, base);
  if (!m) return 1;
  m->seen = 1;
  m->gone = 0;
  m->in_new = (uint8_t)is_new;
  if (file_name(known, base_of(b, m), info_of(base_of(b, m))) && !strcmp(known, name)) return 1;
  int64_t at = keep(b, name);
  if (at != -1) m->name = (uint32_t)at;
  return at != -1;
}

/* Look for everything anew. */
static void look_again(struct mailbox *b)
{
  for (size_t i = 0; i < b->count; i++) mailbox_message(b, i)->seen = 0;
  if (!walk_both(b, update)) return;
  for (size_t i = 0; i < b->count; i++) {
    struct mailbox_message *m = mailbox_message(b, i);
    m->gone = !m->seen;
  }
}

/* --- one message --- */

void mailbox_uid(struct mailbox const *b, size_t i, char out[MAILBOX_UID_MAX + 1])
{
  char const *base = base_of(b, mailbox_message(b, i));
  char digest[32];
  size_t len = strlen(base);
  size_t good = 0;
  while (good < len && base[good] > 32 && base[good] < 127) good++;
  if (good == len && len <= MAILBOX_UID_MAX) {
    memcpy(out, base, len + 1);
    return;
  }
  SHA256Schedule h;
  sha256_init(&h);
  sha256_update(&h, base, len);
  sha256_final(&h, digest);
  for (size_t k = 0; k < sizeof digest; k++) snprintf(out + 2 * k, 3, "%02x", (unsigned char)digest[k]);
}

/* Do <what> with its file, under the name that it has now. 0 or more; -1 with errno. */
static int with_file(struct mailbox *b, size_t i, int (*what)(int dir, char const *name))
{
  char name[NAME_ROOM];
  for (int again = 0;; again = 1) {
    struct mailbox_message const *m = mailbox_message(b, i);
    if (!file_name(name, base_of(b, m), info_of(base_of(b, m)))) return (errno = ENOENT, -1);
    int r = what(m->in_new ? b->new : b->cur, name);
    if (r != -1 || errno != ENOENT || again || m->gone) return r;
    look_again(b);
    errno = ENOENT;
  }
}

static int open_file(int dir, char const *name)
{
  struct stat st;
  int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd == -1 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))) return fd;
  close(fd);
  return (errno = EINVAL, -1);
}

int mailbox_read(struct mailbox *b, size_t i)
{
  return with_file(b, i, open_file);
}

/* --- the end --- */

static int unlink_file(int dir, char const *name)
{
  return unlinkat(dir, name, 0);
}

/* The bytes that it counts for in a quota. */
static uint64_t counted(struct mailbox const *b, struct mailbox_message const *m)
{
  char name[NAME_ROOM];
  struct stat st;
  uint64_t size;
  char const *base = base_of(b, m);
  if (hint(base, 'S', &size)) return size;
  if (!file_name(name, base, info_of(base)) ||
      fstatat(m->in_new ? b->new : b->cur, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
    return 0;
  return (uint64_t)st.st_size;
}

static int remove_deleted(struct mailbox *b, int64_t *size, int *count)
{
  int ok = 1;
  for (size_t i = 0; i < b->count; i++) {
    if (!mailbox_message(b, i)->deleted) continue;
    uint64_t bytes = counted(b, mailbox_message(b, i));
    if (with_file(b, i, unlink_file) != -1) {
      *size += (int64_t)bytes;
      ++*count;
    } else if (errno != ENOENT) {
      ok = 0;
    }
  }
  return ok;
}

static void move_to_cur(struct mailbox const *b, struct mailbox_message const *m)
{
  char from[NAME_ROOM], to[NAME_ROOM];
  char const *base = base_of(b, m);
  char const *info = info_of(base);
  if (!file_name(from, base, info) ||
      !file_name(to, base, !strncmp(info, "2,", 2) ? info : "2,"))
    return;
  if (renameat2(b->new, from, b->cur, to, RENAME_NOREPLACE) == 0 ||
      (errno != EINVAL && errno != ENOSYS))
    return;
  if (linkat(b->new, from, b->cur, to, 0) == 0) unlinkat(b->new, from, 0);
}

static int has_deleted(struct mailbox const *b)
{
  for (size_t i = 0; i < b->count; i++)
    if (mailbox_message(b, i)->deleted) return 1;
  return 0;
}

static int try_lock(void *data)
{
  return lock_flock(*(int const *)data);
}

/* Whoever counts the Maildir meanwhile must not count what is about to go, nor we write down what
 * he has not seen: a sum that is too small would last. So all happens under the lock; without it,
 * nothing is written down. */
static int remove_counted(struct mailbox *b)
{
  struct sizefile t;
  int64_t size = 0;
  int count = 0, file = -1;
  if (b->base != -1 && faccessat(b->base, SIZEFILE_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
      lock_wait(try_lock, &b->base))
    sizefile_read(b->base, &file, &t);
  int ok = remove_deleted(b, &size, &count);
  if (file != -1) {
    if (count) sizefile_append(file, -size, -count);
    close(file);
  }
  if (b->base != -1) close(b->base); /* which unlocks it */
  b->base = -1;
  return ok;
}

int mailbox_settle(struct mailbox *b)
{
  int ok = !has_deleted(b) || remove_counted(b);
  for (size_t i = 0; i < b->count; i++) {
    struct mailbox_message const *m = mailbox_message(b, i);
    if (!m->deleted && m->in_new) move_to_cur(b, m);
  }
  return ok;
}
