/* maildirsize.c - the file maildirsize; see maildirsize.h */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/stralloc.h>

#include "control.h"
#include "lock.h"
#include "maildircount.h"
#include "maildirsize.h"
#include "program.h"
#include "sizefile.h"

#define TRIES 3 /* to go through the Maildir while nobody changes it */

static int trouble(struct report *r, char const *path)
{
  return report_fail(r, EXIT_TEMPORARY,
                     "Unable to count what is in %s (" SIZEFILE_NAME "): %s. (#4.3.0)", path,
                     strerror(errno));
}

/* Over quota: control/overquota says whether that is for good. */
static int refuse(struct report *r)
{
  stralloc word = STRALLOC_ZERO;
  int permanent = 1;
  int got = control_line("overquota", &word);
  if (got == 1 && !strcmp(word.s, "temporary"))
    permanent = 0;
  else if (got == 1 && strcmp(word.s, "permanent"))
    got = control_bad("overquota", "write permanent or temporary");
  stralloc_free(&word);
  if (got == -1) return report_fail(r, EXIT_TEMPORARY, "%s. (#4.3.5)", control_why());
  return report_fail(r, permanent ? EXIT_PERMANENT : EXIT_TEMPORARY,
                     "The mailbox is over quota. (#%c.2.2)", permanent ? '5' : '4');
}

/* Go through the Maildir, and write down what is there under <quota>. 1, or 0 with errno. */
static int recount(struct maildirsize *m, struct sizefile *t, struct quota const *quota)
{
  uint64_t size = 0, count = 0;
  int r = 2;
  for (int i = 0; r == 2 && i < TRIES; i++) r = maildircount(m->base, &size, &count);
  if (!r) return 0;
  *t = (struct sizefile){.quota = *quota, .size = (int64_t)size, .count = (int64_t)count};
  if (!sizefile_replace(m->base, t)) return 0;
  struct sizefile new;
  if (m->file != -1) close(m->file);
  if (sizefile_read(m->base, &m->file, &new) == -1) return 0;
  return m->file != -1 || (errno = ENOENT, 0);
}

static int is_too_much(struct sizefile const *t, uint64_t size)
{
  return quota_exceeded(&t->quota, (uint64_t)t->size + size, (uint64_t)t->count + 1);
}

/* A refusal needs sums that were made lately, and nothing added since. */
static int is_doubtful(struct sizefile const *t)
{
  time_t now = time(0);
  return t->lines > 1 || t->changed < now - MAILDIRSIZE_SECONDS || t->changed > now;
}

static int count_in(struct maildirsize *m, char const *path, struct quota const *given,
                    struct report *r)
{
  struct sizefile t;
  int known = sizefile_read(m->base, &m->file, &t);
  if (known == -1) return trouble(r, path);
  struct quota quota = given->given ? *given : t.quota;
  if (!quota.given) return 1;
  if (quota.size != t.quota.size || quota.count != t.quota.count) known = 0;
  if (known && is_too_much(&t, m->size)) known = !is_doubtful(&t);
  if (!known && !recount(m, &t, &quota)) return trouble(r, path);
  if (is_too_much(&t, m->size)) return refuse(r);
  m->counted = sizefile_append(m->file, (int64_t)m->size, 1);
  return m->counted || trouble(r, path);
}

static int is_trash(char const *path)
{
  static char const trash[] = MAILDIRCOUNT_TRASH;
  size_t n = sizeof trash - 1;
  size_t len = strlen(path);
  while (len && path[len - 1] == '/') len--;
  return len > n && path[len - n - 1] == '/' && !memcmp(path + len - n, trash, n);
}

static int try_lock(void *data)
{
  struct maildirsize const *m = data;
  return lock_flock(m->base);
}

/* Where that cannot be told it may be there. */
static int has(int folder, char const *name)
{
  return faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

int maildirsize_enter(struct maildirsize *m, int maildir, char const *path,
                      struct quota const *given, uint64_t size, struct report *r)
{
  int sub = has(maildir, MAILDIRCOUNT_FOLDER);
  *m = (struct maildirsize){.base = -1, .file = -1, .size = size};
  if (sub ? is_trash(path) : !given->given && !has(maildir, SIZEFILE_NAME)) return 1;
  m->base = openat(maildir, sub ? ".." : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (m->base == -1) return trouble(r, path);
  /* Where folders cannot be locked two deliveries may both take the last place. */
  if (!lock_wait(try_lock, m) && errno == EWOULDBLOCK)
    report_fail(r, EXIT_TEMPORARY, "The folder %s has been locked for 30 seconds. (#4.3.0)", path);
  else if (count_in(m, path, given, r))
    return 1;
  maildirsize_leave(m, 1);
  return 0;
}

void maildirsize_leave(struct maildirsize *m, int delivered)
{
  if (m->counted && !delivered) sizefile_append(m->file, -(int64_t)m->size, -1);
  if (m->file != -1) close(m->file);
  if (m->base != -1) close(m->base);
  m->file = m->base = -1;
}
